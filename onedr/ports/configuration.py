"""This site's own settings, `etc/onedr/onedr.conf` (INI): what is not a datastore attribute. See docs/configuration.md."""
from __future__ import annotations

import configparser
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from onedr.errors import InputError
from onedr.ports import bridge
from onedr.ports.places import places

_ENDPOINT = re.compile(r"https?://[^\s/]+(/\S*)?")
_KNOWN = {"peer": ("endpoint", "auth")}


@dataclass(frozen=True)
class Configuration:
    """`peer_endpoint` is the peer's XML-RPC address, `peer_session` its `user:password`; both empty when not set."""

    peer_endpoint: str = ""
    peer_session: str = ""


def path() -> Path:
    """Where the file belongs."""
    return places().etc / "onedr" / "onedr.conf"


def load() -> Configuration:
    """The settings; all empty when there is no file. Raises InputError that names every problem and the file."""
    front_end = bridge.guest()
    if front_end is not None:
        return Configuration(*front_end.call("configuration")[0])
    where = path()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(where.read_text(), str(where))
    except FileNotFoundError:
        return Configuration()
    except (OSError, UnicodeError, configparser.Error) as error:
        raise InputError(f"{where} cannot be read: {error}") from error
    problems = [
        f"{section}.{key} is not known; known are {', '.join(f'{s}.{k}' for s, keys in _KNOWN.items() for k in keys)}"
        for section in parser.sections() for key in parser[section] if key not in _KNOWN.get(section, ())
    ]
    endpoint, auth = parser.get("peer", "endpoint", fallback=""), parser.get("peer", "auth", fallback="")
    if bool(endpoint) != bool(auth):
        problems.append("peer.endpoint and peer.auth go together")
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        problems.append(f"peer.endpoint is {endpoint!r}, not an address such as http://front-end:2633/RPC2")
    session = _session(Path(auth), problems) if auth else ""
    if problems:
        raise InputError(f"{where}: {'; '.join(problems)}.")
    return Configuration(endpoint, session)


def _session(file: Path, problems: list[str]) -> str:
    """The credentials in a file that only its owner may read (P47)."""
    try:
        mode, text = file.stat().st_mode, file.read_text().strip()
    except (OSError, UnicodeError) as error:
        problems.append(f"peer.auth: {file} cannot be read ({error})")
        return ""
    if stat.S_IMODE(mode) & 0o077:
        problems.append(f"peer.auth: {file} may be read by others; chmod 600 {file}")
    if ":" not in text or "\n" in text:
        problems.append(f"peer.auth: {file} does not hold one line user:password")
    return text
