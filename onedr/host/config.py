"""This site's settings that are not datastore attributes: `etc/onedr/onedr.conf` (INI).

See docs/configuration.md.
"""
from __future__ import annotations

import configparser
import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from onedr.host import bridge
from onedr.host.paths import front_end_paths
from onedr.model import parsing
from onedr.model.errors import InputError

_ENDPOINT = re.compile(r"https?://[^\s/]+(/\S*)?")
_PEER = ("endpoint", "auth")
_INSECURE = "insecure"
PEER_KEYS = (*_PEER, _INSECURE)
# Lowest and highest value. The highest ones were tested with many images and VMs (docs/measured.md).
_LIMITS = {"flatten_at_once": (1, 16), "role_changes_at_once": (1, 100), "starts_at_once": (1, 32)}
_FENCE = ("command", "limit_s")
_FENCE_LIMIT_S = (1, 300)
_NOTIFY = (
    "mail_to", "mail_from", "smtp", "smtp_tls", "smtp_auth", "webhook", "webhook_key", "command",
)  # read by notify/settings.py
_LOG = ("siem",)
_DOWNLOADS = ("ca",)  # read by driver/download.py
_KNOWN = {
    "peer": PEER_KEYS, "limits": tuple(_LIMITS), "fence": _FENCE, "notify": _NOTIFY, "log": _LOG,
    "downloads": _DOWNLOADS,
}
_RECEIVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


@dataclass(frozen=True)
class Configuration:
    """`peer_endpoint` is the peer's XML-RPC address, `peer_session` its `user:password`; both empty when not
    set.

    The limits are for one datastore: clones flattened at once, images promoted or demoted at once by a run,
    VMs started at once by a run. `fence_command`: the words of the program that cuts the peer off; empty:
    there is none. `siem`: host and UDP port, or the path of a Unix socket and 0; None: there is none.
    """

    peer_endpoint: str = ""
    peer_session: str = ""
    flatten_at_once: int = 2
    role_changes_at_once: int = 100
    starts_at_once: int = 32
    fence_command: tuple[str, ...] = ()
    fence_limit_s: int = 60
    siem: tuple[str, int] | None = None


def path() -> Path:
    """Path of the file."""
    return front_end_paths().etc / "onedr" / "onedr.conf"


def load_config() -> Configuration:
    """The settings; the defaults when there is no file.

    Raises InputError that names every problem and the file.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        return Configuration(*front_end.call("configuration")[0])
    where = path()
    # [DEFAULT] is not one of the sections
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(where.read_text(), str(where))
        mode = where.stat().st_mode
    except FileNotFoundError:
        return Configuration()
    except (OSError, UnicodeError, configparser.Error) as error:
        raise InputError(f"{where} cannot be read: {error}") from error
    problems = _unknown(parser)
    if stat.S_IMODE(mode) & 0o022:
        problems.append(
            f"other users may write it (mode {stat.S_IMODE(mode):04o})and so obtain the peer's password; "
            "chmod 644 it"
        )
    session = _peer(parser, problems)
    limits = {
        name: _number(parser["limits"], name, _LIMITS[name], problems)
        for name in _LIMITS
        if parser.has_option("limits", name)
    }
    if parser.has_option("fence", "limit_s"):
        limits["fence_limit_s"] = _number(parser["fence"], "limit_s", _FENCE_LIMIT_S, problems)
    command = command_words(parser.get("fence", "command", fallback=""), "fence.command", problems)
    siem = _receiver(parser.get("log", "siem", fallback=""), problems)
    _absolute(parser.get("downloads", "ca", fallback=""), "downloads.ca", problems)
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}.")
    endpoint = parser.get("peer", "endpoint", fallback="")
    return Configuration(endpoint, session, fence_command=command, siem=siem, **limits)


def is_endpoint(text: str) -> bool:
    """Is this what `peer.endpoint` may be?"""
    return _ENDPOINT.fullmatch(text) is not None


def section(name: str) -> dict[str, str]:
    """A section of the file as it is written; empty without one. Raises InputError."""
    where = path()
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(where.read_text(), str(where))
        others = stat.S_IMODE(where.stat().st_mode) & 0o022
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, configparser.Error) as error:
        raise InputError(f"{where} cannot be read: {error}") from error
    if others:
        raise InputError(f"{where}: other users may write it; chmod 644 it.")
    return dict(parser[name]) if parser.has_section(name) else {}


def limits() -> Configuration:
    """The same for callers that only need the limits: the defaults when the file has a problem.

    A typing error among them must not keep a lost site's VMs down; `onedr check` and every look at the peer
    report it. Whether there is a fence command is asked with load_config: unknown means stop.
    """
    try:
        return load_config()
    except InputError:
        return Configuration()


def _unknown(parser: configparser.ConfigParser) -> list[str]:
    known = ", ".join(f"{section}.{key}" for section, keys in _KNOWN.items() for key in keys)
    found = [f"section [{section}] is unknown" for section in parser.sections() if section not in _KNOWN]
    found += [
        f"{section}.{key} is unknown" for section in parser.sections() if section in _KNOWN
        for key in parser[section] if key not in _KNOWN[section]
    ]
    return [*found[:-1], f"{found[-1]} (known: {known})"] if found else []


def _peer(parser: configparser.ConfigParser, problems: list[str]) -> str:
    endpoint, auth = (parser.get("peer", key, fallback="") for key in _PEER)
    if bool(endpoint) != bool(auth):
        given, missing = _PEER if endpoint else reversed(_PEER)
        problems.append(f"peer.{given} is set but peer.{missing} is not; set both or neither")
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        problems.append(f"peer.endpoint is {endpoint!r}, not an address such as https://front-end/RPC2")
    insecure = parser.get("peer", _INSECURE, fallback="no")
    if insecure.lower() not in ("yes", "no"):
        problems.append(f"peer.insecure is {insecure!r}, neither yes nor no")
    elif parsing.in_plain_text(endpoint) and insecure.lower() == "no":
        problems.append(
            f"peer.endpoint is {endpoint}: http sends the password of oneadmin at the peer readably over the "
            "network; use https (docs/configuration.md), or set insecure = yes in [peer] if that network is "
            "trusted"
        )
    _absolute(auth, "peer.auth", problems)
    return _session(Path(auth), problems) if Path(auth).is_absolute() else ""


def _absolute(text: str, key: str, problems: list[str]) -> None:
    if text and not Path(text).is_absolute():
        problems.append(f"{key} is {text!r}, not the absolute path of a file")


def _receiver(text: str, problems: list[str]) -> tuple[str, int] | None:
    if Path(text).is_absolute():
        return text, 0
    found = _RECEIVER.fullmatch(text)
    if found and 0 < int(found[3]) < 65536:
        return found[1] or found[2], int(found[3])
    if text:
        problems.append(f"log.siem is {text!r}, neither HOST:PORT nor the absolute path of a Unix socket")
    return None


def command_words(text: str, key: str, problems: list[str]) -> tuple[str, ...]:
    """The words of a program, given as a list in JSON: nothing is split or expanded. `key`: what has it; a
    problem is added to `problems`, and no words are returned then.
    """
    if not text.strip():
        return ()
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    good = isinstance(words, list) and words and all(isinstance(word, str) and word for word in words)
    if good and Path(words[0]).is_absolute():
        return tuple(words)
    problems.append(
        f'{key} is {text!r}, not a list in JSON such as ["/usr/local/sbin/fence-site", "north"] that begins '
        "with the absolute path of a program"
    )
    return ()


def _number(
    section: configparser.SectionProxy, name: str, limits_: tuple[int, int], problems: list[str]
) -> int:
    text, (lowest, highest) = section[name].strip(), limits_
    if re.fullmatch(r"[0-9]{1,6}", text) and lowest <= int(text) <= highest:
        return int(text)
    problems.append(f"{section.name}.{name} is {text!r}, not a number from {lowest} to {highest}")
    return lowest


def _session(file: Path, problems: list[str]) -> str:
    """The credentials in a file that only its owner may read."""
    try:
        mode, text = file.stat().st_mode, file.read_text().strip()
    except (OSError, UnicodeError) as error:
        problems.append(f"peer.auth: {file} cannot be read ({error})")
        return ""
    if stat.S_IMODE(mode) & 0o077:
        problems.append(
            f"peer.auth: {file} can be read by other users (mode {stat.S_IMODE(mode):04o}); chmod 600 {file}"
        )
    if ":" not in text or "\n" in text:
        problems.append(f"peer.auth: {file} does not contain one line user:password")
    return text
