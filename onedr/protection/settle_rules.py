"""What an update of a whole template did to a datastore: settings that vanished are put back, an action that
an old page wrote back starts nothing. Pure (docs/attributes.md, "What an update cannot take away").

Editors and Sunstone write whole templates as they knew them. A counter tells: DR_SEQ is raised whenever an
action is taken off, and is kept in the pool too.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from onedr.model import settings as model_settings
from onedr.model import template
from onedr.model.errors import plain
from onedr.model.template import Pairs
from onedr.model.types import DRIVER

SEQ, ACTION, REQUEST, PLAN = "DR_SEQ", "DR_ACTION", "DR_REQUEST", "DR_PLAN"
# Of one request: taken off the datastore together with its action.
WORDS = (ACTION, "DR_CONFIRM", REQUEST, PLAN, "DR_ACCEPT_UNSIGNED", "DR_LEAVE", "DR_TAKE")
_ALONE = (REQUEST, PLAN, "DR_ACCEPT_UNSIGNED")  # these must not wait on the datastore for a later action
_PROTECT = "DR_PROTECT"
_OF_TM_MAD = "LN_TARGET"  # oned sets it with TM_MAD, and a replacing update without TM_MAD wipes it
_REQUESTS_KEPT, _REQUEST_LENGTH = 100, 64


@dataclass(frozen=True)
class Known:
    """What the pool knows of a datastore. `settings`: those with a value; `seq`: its DR_SEQ; `requests`: ids
    accepted before; `ended`: protection was ended by `onedr disable`.
    """

    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    seq: int = 0
    requests: tuple[str, ...] = ()
    ended: bool = False
    notice: str = ""  # what was put right, for DR_MESSAGE
    noticed: float = 0.0  # when, epoch seconds

    @property
    def protected(self) -> bool:
        """Does its protection last until `onedr disable`?"""
        return not self.ended and _is_yes(self.settings.get(_PROTECT, ""))


@dataclass(frozen=True)
class Shown:
    """The datastore as oned shows it; `valid`: can its settings be used?"""

    name: str
    ds_mad: str
    tm_mad: str
    attributes: Pairs
    valid: bool = True

    @property
    def protected(self) -> bool:
        return self.ds_mad == DRIVER and _is_yes(template.get(self.attributes, _PROTECT))


@dataclass(frozen=True)
class Verdict:
    """What the pool is to know (None: nothing), what the datastore is to show, the request that may start, or
    why the one that was taken off may not.
    """

    known: Known | None
    changes: Pairs = ()
    taken: Pairs = ()
    refused: str = ""


def judge(known: Known | None, shown: Shown, first_seq: int, distrust: bool = False) -> Verdict:
    """Judge a datastore. `first_seq`: its counter if it has none yet. `distrust`: attributes were just put
    right, so an action that shows up now may have come before that.
    """
    if known is not None and known.name != shown.name and not shown.protected:
        known = None  # ids restart where a front-end was set up again
    foreign = shown.ds_mad != DRIVER and not (known is not None and known.protected)
    asked = bool(template.get(shown.attributes, ACTION).strip())
    if foreign or (known is None and not asked and not shown.protected):
        return Verdict(known, _cleared(shown, _ALONE) if not foreign else ())
    before = known or Known(seq=first_seq)
    current = template.get(shown.attributes, SEQ) == str(before.seq)
    settings, restored, said = _settings(before, shown, current)
    changes = [*restored, *_cleared(shown, WORDS if asked else _ALONE)]
    refusal = _refusal(known, shown, current, distrust) if asked else ""
    taken: Pairs = ()
    if refusal:
        action = plain(template.get(shown.attributes, ACTION))[:40]
        refusal = f"DR_ACTION={action} was taken off and nothing was started: {refusal}."
    elif asked:
        taken = tuple((key, template.get(shown.attributes, key)) for key in WORDS)
    raised = asked or (known is not None and not current)  # what wrote the old counter knows no later one
    after = replace(
        before, name=shown.name, settings=settings, seq=before.seq + raised, requests=_requests(before, taken)
    )
    if template.get(shown.attributes, SEQ) != str(after.seq):
        changes.append((SEQ, str(after.seq)))
    if said or taken:
        after = replace(after, notice=" ".join(said))
    if said or refusal:
        changes.append(("DR_MESSAGE", " ".join([*said, refusal]).strip()))
    return Verdict(after, tuple(changes), taken, refusal)


def _requests(before: Known, taken: Pairs) -> tuple[str, ...]:
    request = template.get(taken, REQUEST)
    return (*before.requests, request)[-_REQUESTS_KEPT:] if request else before.requests


def _cleared(shown: Shown, keys: tuple[str, ...]) -> Pairs:
    return tuple((key, "") for key in keys if template.get(shown.attributes, key))


def _settings(before: Known, shown: Shown, current: bool) -> tuple[Mapping[str, str], Pairs, list[str]]:
    """The settings to know, the attributes to put back, and what is said of it."""
    if before.ended:
        return before.settings, (), []
    found = {key: value for key, value in shown.attributes if isinstance(value, str)}
    back = _vanished(before, found, current) if before.protected else {}
    drivers = _drivers(shown, found) if before.protected else ()
    merged = {**found, **back}
    settings = {key: merged[key] for key in model_settings.KEYS if merged.get(key)}
    if not shown.valid or not (before.settings or _is_yes(settings.get(_PROTECT, ""))):
        settings = dict(before.settings)
    said = []
    names = [*back, *(key for key, _ in drivers)]
    if names:
        said.append(
            f"An update of the whole template had taken away {', '.join(names)}: put back as before. An "
            "empty value clears a setting; onedr disable ends protection."
        )
    if before.protected and not _is_yes(settings.get(_PROTECT, "")):
        said.append(
            "DR_PROTECT=NO was set: nothing new is mirrored; what is mirrored stays so until onedr disable."
        )
    return settings, (*drivers, *back.items()), said


def _vanished(before: Known, found: Mapping[str, str], current: bool) -> dict[str, str]:
    """What the pool knows and the datastore lacks. An old page does not end protection either."""
    back = {key: value for key, value in before.settings.items() if key not in found}
    if not found.get(_PROTECT) or (not current and not _is_yes(found[_PROTECT])):
        back[_PROTECT] = before.settings[_PROTECT]
    return back


def _drivers(shown: Shown, found: Mapping[str, str]) -> Pairs:
    if (shown.ds_mad, shown.tm_mad) != (DRIVER, DRIVER):
        return (("DS_MAD", DRIVER), ("TM_MAD", DRIVER))
    return () if _OF_TM_MAD in found else (("TM_MAD", DRIVER),)


def _refusal(known: Known | None, shown: Shown, current: bool, distrust: bool) -> str:
    """Why an action starts nothing; empty when it may."""
    if distrust:
        return "it came while other attributes were put right; look at the datastore, then set it again"
    if known is None:
        missing = "its counter DR_SEQ was missing and has been set now; set it again"
        return missing if shown.protected else ""
    if not current:
        counter = plain(template.get(shown.attributes, SEQ))[:20] or "none"
        return (
            f"it came from an old page or file (DR_SEQ {counter}, not {known.seq}); reload it, look at the "
            "datastore, then set it again"
        )
    request = template.get(shown.attributes, REQUEST)
    if request in known.requests and request:
        return "its DR_REQUEST was used before; reload the page"
    if len(request) > _REQUEST_LENGTH or not request.isprintable():
        return f"its DR_REQUEST is longer than {_REQUEST_LENGTH} characters, or not printable"
    return ""


def _is_yes(text: str) -> bool:
    return text.strip().upper() == "YES"
