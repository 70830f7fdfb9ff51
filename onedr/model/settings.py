"""The DR_ attributes of a datastore: validated together, every problem reported at once (docs/attributes.md).
"""
from __future__ import annotations

import re
from dataclasses import replace

from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.template import Pairs
from onedr.model.types import CephAccess, Mode, Settings

_DURATION = re.compile(r"([0-9]{1,9})\s*([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_SCHEDULE = "5m"  # of mirror snapshots, when DR_SCHEDULE is not set
_MAX_INDEX = 2  # 2 * 10^9 + an id still fits OpenNebula's 32-bit ids


def duration(text: str) -> int:
    """Seconds of `90`, `15m`, `1h`. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m or 1h")
    return int(match[1]) * _UNITS[match[2]]


MAX_DELAY_S = 3600


def delay(text: str) -> int:
    """Seconds of a duration of at most an hour. Raises ValueError."""
    seconds = duration(text)
    if seconds > MAX_DELAY_S:
        raise ValueError(f"{text!r} is longer than an hour")
    return seconds


def network_map(text: str) -> tuple[tuple[str, str], ...]:
    """`netA=netB, lan=dr-lan` as pairs (name there, name here). Raises ValueError."""
    pairs: list[tuple[str, str]] = []
    for entry in filter(None, (part.strip() for part in re.split(r"[,;\n]", text))):
        there, separator, here = (word.strip() for word in entry.partition("="))
        if not (separator and there and here):
            raise ValueError(f"{entry!r} is not of the form network-there=network-here")
        if there in dict(pairs):
            raise ValueError(f"{there!r} is mapped twice")
        pairs.append((there, here))
    return tuple(pairs)


def attribute_names(text: str) -> frozenset[str]:
    """Names of attributes, in capitals. Raises ValueError."""
    words = frozenset(filter(None, re.split(r"[,;\s]+", text.strip().upper())))
    bad = sorted(word for word in words if not re.fullmatch(r"[A-Z_][A-Z0-9_-]{0,99}", word))
    if bad:
        raise ValueError(f"{bad[0]!r} is no name of an attribute")
    return words


def day_window(text: str) -> tuple[int, int]:
    """`22:00-06:00` as minutes of the day. Raises ValueError."""
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01]?[0-9]|2[0-3]):([0-5][0-9])", text)
    if not found:
        raise ValueError(f"{text!r} is not of the form 22:00-06:00")
    begin, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if begin == end:
        raise ValueError(f"{text!r} begins when it ends")
    return begin, end


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError(f"{text!r} is not a number from 0 to 9999")
    return int(text)


def yes_no(text: str) -> bool:
    """OpenNebula's YES/NO. Raises ValueError for anything else."""
    word = text.strip().upper()
    if word not in ("YES", "NO"):
        raise ValueError(f"{text!r} is neither YES nor NO")
    return word == "YES"


def _index(text: str) -> int:
    index = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if not 0 <= index <= _MAX_INDEX:
        raise ValueError(f"{text!r} is not a site index (0, 1 or 2)")
    return index


def _mode(text: str) -> Mode:
    try:
        return Mode(text.upper())
    except ValueError:
        raise ValueError(f"{text!r} is neither JOURNAL nor SNAPSHOT") from None


def _clones(text: str) -> bool:
    word = text.upper()
    if word not in ("PARENT", "FLATTEN"):
        raise ValueError(f"{text!r} is neither PARENT nor FLATTEN")
    return word == "FLATTEN"


def _schedule(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,4}[mhd]", text):
        raise ValueError(
            f"{text!r} is not a Ceph schedule: use minutes, hours or days such as 5m, 1h, 1d"
        )
    return text


def schedule_of(settings: Settings, image: Pairs) -> str:
    """How often mirror snapshots of an image with these attributes are taken: its own DR_SCHEDULE, but never
    more often than the datastore's, which costs all, nor more rarely than DR_RPO. One that cannot be read
    counts as none. Empty in journal mode.
    """
    wanted_s = _own_schedule_s(image)
    if not settings.schedule or wanted_s is None:
        return settings.schedule
    least_s = duration(settings.schedule)
    seconds = min(max(wanted_s, least_s), max(settings.rpo_s, least_s))
    return f"{seconds // 60}m" if seconds != least_s else settings.schedule


def schedule_problem(settings: Settings, image: Pairs) -> str:
    """Why an image's own DR_SCHEDULE does not count; empty when it does, or there is none."""
    text, counts = template.get(image, "DR_SCHEDULE").strip(), schedule_of(settings, image)
    if not text or not counts:
        return ""
    wanted_s = _own_schedule_s(image)
    if wanted_s is None:
        return f"its DR_SCHEDULE {text!r} cannot be read; {counts} counts"
    return "" if duration(counts) == wanted_s else (
        f"its DR_SCHEDULE {text} is beyond the datastore's DR_SCHEDULE or DR_RPO; {counts} counts"
    )


def _own_schedule_s(image: Pairs) -> int | None:
    try:
        return duration(_schedule(template.get(image, "DR_SCHEDULE").strip()))
    except ValueError:
        return None


MIN_POINT_S = 10
_MOST_POINTS = 200  # their notes fit in one value of metadata
_SPANS = re.compile(r"([1-9][0-9]{0,2})\s*x\s*([0-9]{1,9}[smhd]?)")


def _point_every(text: str) -> int:
    seconds = duration(text)
    if seconds < MIN_POINT_S:
        raise ValueError(f"{text!r} is less than {MIN_POINT_S} s")
    return seconds


def point_rules(text: str) -> tuple[tuple[int, int], ...]:
    """`12x5m,24x1h` as pairs (how many spans, seconds of each). Raises ValueError."""
    found = []
    for entry in filter(None, (part.strip().lower() for part in re.split(r"[,;]", text))):
        match = _SPANS.fullmatch(entry)
        if not match or not duration(match[2]):
            raise ValueError(f"{entry!r} is not of the form 12x5m: how many, and one in each how long")
        found.append((int(match[1]), duration(match[2])))
    if not 0 < sum(count for count, _ in found) <= _MOST_POINTS:
        raise ValueError(f"{text!r} keeps no point, or more than {_MOST_POINTS}")
    return tuple(found)


def _consistency(text: str) -> bool:
    word = text.upper()
    if word not in ("VM", "DATASTORE"):
        raise ValueError(f"{text!r} is neither VM nor DATASTORE")
    return word == "DATASTORE"


def _recover(text: str) -> bool:
    word = text.upper()
    if word not in ("NEWEST", "CONSISTENT"):
        raise ValueError(f"{text!r} is neither NEWEST nor CONSISTENT")
    return word == "CONSISTENT"


def _recovery_plan(text: str) -> str:
    from onedr.model import recovery_plan  # few datastores have one

    if not recovery_plan.NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a recovery plan")
    return text


_READERS = {
    "DR_PROTECT": ("protect", yes_no),
    "DR_MODE": ("mode", _mode),
    "DR_RPO": ("rpo_s", duration),
    "DR_RTO": ("rto_s", duration),
    "DR_SCHEDULE": ("schedule", _schedule),
    "DR_KEEP": ("keep_s", duration),
    "DR_DELAY": ("delay_s", delay),
    "DR_DELAY_MAX": ("delay_max_s", delay),
    "DR_CLONES": ("flatten_clones", _clones),
    "DR_SITE_INDEX": ("site_index", _index),
    "DR_NETWORK_MAP": ("network_map", network_map),
    "DR_SECURITY_GROUP_MAP": ("security_group_map", network_map),
    "DR_REHEARSE": ("rehearse", yes_no),
    "DR_REPORT": ("report", yes_no),
    "DR_COPY_WINDOW": ("copy_window", day_window),
    "DR_COPY_OUTSIDE": ("copies_outside", _count),
    "DR_SECRET_ATTRS": ("secret_attrs", attribute_names),
    "DR_POINT_EVERY": ("point_every_s", _point_every),
    "DR_POINTS": ("point_rules", point_rules),
    "DR_POINT_STALL": ("point_stall_s", duration),
    "DR_CONSISTENCY": ("point_of_all", _consistency),
    "DR_RECOVERY_PLAN": ("recovery_plan", _recovery_plan),
    "DR_RECOVER": ("recover_consistent", _recover),
}

# The attributes that `read_settings` reads.
KEYS = (
    *_READERS, "DR_SITE", "DR_PEER_DATASTORE", "DR_PEER_CEPH_CONF", "DR_PEER_CEPH_USER", "DR_DRILL_NETWORK",
)


def read_settings(attributes: Pairs, datastore: str) -> Settings:
    """The settings in a datastore's template; `datastore` is its name.

    Raises InputError that names every bad attribute at once.
    """
    values: dict[str, object] = {
        "site": template.get(attributes, "DR_SITE"), "peer": _peer(attributes),
        "peer_datastore": template.get(attributes, "DR_PEER_DATASTORE"),
        "drill_network": template.get(attributes, "DR_DRILL_NETWORK").strip(),
    }
    problems = []
    for key, (name, reader) in _READERS.items():
        text = template.get(attributes, key).strip()
        if not text:
            continue
        try:
            values[name] = reader(text)
        except ValueError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise InputError(
            f"Datastore {datastore}: {'; '.join(problems)}. Correct it with onedatastore update {datastore}."
        )
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.mode is Mode.SNAPSHOT and not settings.schedule:
        settings = replace(settings, schedule=DEFAULT_SCHEDULE)
    return settings


def _peer(attributes: Pairs) -> CephAccess | None:
    conf = template.get(attributes, "DR_PEER_CEPH_CONF")
    if not conf:
        return None
    pool = template.get(attributes, "POOL_NAME")
    return CephAccess(pool, template.get(attributes, "DR_PEER_CEPH_USER"), conf)


def wants_protection(settings: Settings, *templates: Pairs) -> bool:
    """The datastore's DR_PROTECT, unless the image or its VM says NO in its own template."""
    return settings.protect and all(template.get(own, "DR_PROTECT").upper() != "NO" for own in templates)
