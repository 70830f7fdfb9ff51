"""The way to the other site's front-end, section [peer] of onedr.conf: setup tests it, then writes it.

Without it there is no move and no failback, and a failover cannot ask which VMs run at the peer.
"""
from __future__ import annotations

import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path

from onedr.host import config as host_config
from onedr.host import config_text, paths, secret_file
from onedr.host.atomic_file import write_atomically
from onedr.model import parsing
from onedr.model.errors import FrontEndError, InputError, RefusedError
from onedr.opennebula.api import FrontEnd

_SECTION = "peer"
_LIMIT_S = 10.0
_ONEADMIN = "0"  # id of the group
_MODE = 0o644


@dataclass(frozen=True)
class PeerFrontEnd:
    """`endpoint`: its XML-RPC address. `auth`: the file with `session`, which is `user:password`; `is_new`:
    it does not exist yet. `insecure`: plain http is wanted all the same.
    """

    endpoint: str
    auth: Path
    session: str = field(repr=False)
    is_new: bool = False
    insecure: bool = False

    @property
    def text(self) -> str:
        """What onedr.conf will say, as one value."""
        return _text({
            "endpoint": self.endpoint, "auth": str(self.auth), "insecure": "yes" if self.insecure else ""
        })


def default_auth() -> Path:
    """Where the password is kept if no other file is named."""
    return paths.front_end_paths().etc / "onedr" / "peer_auth"


def configured() -> str | None:
    """What onedr.conf says of the peer's front-end, as one value; None when it names none.

    Raises InputError.
    """
    return _text(host_config.section(_SECTION)) or None


def is_asked_for() -> bool:
    """Is there a front-end on this machine that does not know the other one yet?"""
    return host_config.path().parent.is_dir() and configured() is None


def wanted(endpoint: str, auth: str, insecure: bool, session: str = "") -> PeerFrontEnd:
    """The way as it was given. `session`: what a new password file will hold. Raises InputError."""
    if not host_config.is_endpoint(endpoint):
        raise InputError(f"{endpoint!r} is no address of a front-end such as https://front-end-b/RPC2.")
    if parsing.in_plain_text(endpoint) and not insecure:
        raise InputError(
            f"{endpoint}: http sends the password readably over the network. Use https, or give "
            "--peer-insecure if that network is yours alone (docs/configuration.md)."
        )
    file = Path(auth).absolute() if auth else default_auth()
    if session:
        return PeerFrontEnd(endpoint, file, session, True, insecure)
    if not file.exists():
        raise InputError(
            f"There is no {file}. Write one line user:password into it, of a user in group oneadmin at the "
            f"other site, and chmod 600 {file}."
        )
    return PeerFrontEnd(endpoint, file, secret_file.read_secret(file).strip(), False, insecure)


def verify(way: PeerFrontEnd) -> None:
    """Log in there. Raises FrontEndError, InputError, and RefusedError when it is our own front-end or the
    user is no admin.
    """
    user, colon, password = way.session.partition(":")
    if not (user and colon and password) or "\n" in way.session:
        raise InputError(f"{way.auth} does not hold one line user:password.")
    if way.endpoint == paths.endpoint():
        raise RefusedError(f"{way.endpoint} is this site's own front-end; give the other one's.")
    try:
        found = FrontEnd(way.endpoint, way.session, _LIMIT_S).user()
    except FrontEndError as error:
        text = f"The other site's front-end: {error} Nothing was changed."
        raise FrontEndError(text, error.code) from error
    groups = {found.findtext("GID"), *(group.text for group in found.iterfind("GROUPS/ID"))}
    if _ONEADMIN not in groups:
        raise RefusedError(
            f"User {user} at {way.endpoint} is not in group oneadmin there, and would not see all VMs. "
            "Nothing was changed."
        )


def write(text: str | None) -> None:
    """Let onedr.conf say this of the peer's front-end; None: nothing. Raises InputError."""
    path = host_config.path()
    given = dict(word.split("=", 1) for word in shlex.split(text or ""))
    values = {key: given.get(key, "") for key in host_config.PEER_KEYS}
    try:
        before = path.read_text() if path.exists() else ""
        mode = stat.S_IMODE(path.stat().st_mode) if before else _MODE
        owner = secret_file.owner_of(path if before else paths.front_end_paths().var)
        after = config_text.with_options(before, _SECTION, values)
        write_atomically(path, after.encode(), mode, None if owner is None else (owner, -1))
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be written: {error}.") from error


def write_password(way: PeerFrontEnd) -> None:
    """Make the password file, mode 0600. Raises InputError."""
    secret_file.write_secret(way.auth, f"{way.session}\n", secret_file.owner_of(paths.front_end_paths().var))


def _text(values: dict[str, str]) -> str:
    said = {key: values.get(key, "") for key in host_config.PEER_KEYS}
    if said["insecure"].lower() == "no":
        said["insecure"] = ""
    return shlex.join(f"{key}={value}" for key, value in said.items() if value) if said["endpoint"] else ""
