"""The bundle of `onedr diagnose`: files of text in an archive that only its owner may read."""
from __future__ import annotations

import io
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from onedr.host import config, log, paths
from onedr.model.errors import InputError, OneDRError
from onedr.replication import encryption
from onedr.support.redact_rules import redact

_LOG_BYTES = 4 << 20  # of the newest log file, from its end
_PACKAGES = ("onedr", "click", "cryptography", "lxml", "prometheus-client", "pyyaml", "rich")


def known_secrets() -> list[str]:
    """What this front-end holds: the record key, its own and the peer's credentials, those of notifications.
    What cannot be read is not known, and not in the bundle either.
    """
    found: list[str] = []
    key_file = paths.front_end_paths().record_key
    readers: tuple[Callable[[], str], ...] = (
        paths.credentials, _peer_session, key_file.read_text, _mail_session, _webhook_key,
    )
    for read in readers:
        try:
            text = read()
        except (OSError, UnicodeError, OneDRError):
            continue
        # of `user:password` the password alone counts too
        found += [text.strip(), text.strip().partition(":")[2]]
    key = _key(key_file)
    return [*found, *([key.hex()] if key is not None else [])]


def _peer_session() -> str:
    return config.load_config().peer_session


def _mail_session() -> str:
    return Path(config.section("notify").get("smtp_auth", "")).read_text()


def _webhook_key() -> str:
    return Path(config.section("notify").get("webhook_key", "")).read_text()


def _key(path: Path) -> bytes | None:
    try:
        return encryption.key_in(path)
    except OneDRError:
        return None


def own_files() -> dict[str, str]:
    """What this front-end itself has to say: versions, configuration, log."""
    here = paths.front_end_paths()
    return {
        "versions.txt": _versions(),
        "onedr.conf": _text(config.path()),
        "record.key.txt": _described(here.record_key),
        "onedr.log": _tail(log.path()),
    }


def _versions() -> str:
    lines = [f"python {platform.python_version()}", f"system {platform.platform()}", f"argv0 {sys.argv[0]}"]
    for name in _PACKAGES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines) + "\n"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}\n"


def _described(path: Path) -> str:
    """Owner, mode and size of a file whose content is secret."""
    try:
        found = path.stat()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}\n"
    owner, mode = f"{found.st_uid}:{found.st_gid}", f"{found.st_mode & 0o7777:04o}"
    return f"{path} has owner {owner}, mode {mode}, {found.st_size} bytes\n"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}\n"


def write_bundle(target: Path, files: Mapping[str, str], known: Iterable[str]) -> None:
    """Write `files` (text by name), redacted, as a tar.gz of mode 0600.

    Raises InputError when the file exists or cannot be written.
    """
    secrets, folder = list(known), target.name.partition(".")[0]
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written: {error.strerror}; give another with --output."
        ) from error
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in files.items():
            data = redact(text, secrets).encode(errors="replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
