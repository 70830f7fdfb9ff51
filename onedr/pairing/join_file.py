"""The file that is carried from one site to the other, once. It opens one sealed message at the site that
made it, one time.

In it: where that site's monitors are, a user that may do nothing but fetch, remove that message and end
itself, and the key to the seal. What the message holds (Ceph's bootstrap token, the record key) is neither in
the file nor readable without it.
"""
from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from onedr.host import secret_file
from onedr.model.errors import InputError, RecordError, RefusedError
from onedr.replication import encryption

_SCHEMA = 1


@dataclass(frozen=True)
class JoinFile:
    """Its content; `expires`: epoch seconds."""

    join_id: str
    site: str
    pool: str
    fsid: str
    mon_host: str
    expires: float
    key: str = field(repr=False)
    secret: str = field(repr=False)


def new_id() -> str:
    """What names a file: eight random digits."""
    return os.urandom(4).hex()


def new_secret() -> str:
    """The key to a seal."""
    return base64.b64encode(os.urandom(encryption.KEY_BYTES)).decode()


def write_join_file(path: Path, made: JoinFile) -> None:
    """Write it, mode 0600. Raises InputError."""
    body = asdict(made)
    secret_file.write_secret(
        path, json.dumps({"onedr_join": _SCHEMA, **body, "sha256": _digest(body)}, indent=1) + "\n"
    )


def read_join_file(path: Path) -> JoinFile:
    """Read it. Raises InputError: not such a file, changed or damaged, readable by others."""
    text = secret_file.read_secret(path)
    try:
        found = dict(json.loads(text))
        schema, digest = found.pop("onedr_join"), found.pop("sha256")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no file of onedr setup --offer.") from error
    if schema != _SCHEMA:
        raise InputError(
            f"{path} is of another release of OneDR (schema {schema}); use the same one at both sites."
        )
    if digest != _digest(found) or set(found) != set(JoinFile.__dataclass_fields__):
        raise InputError(
            f"{path} was changed or damaged on its way; make a new one with onedr setup --offer."
        )
    return JoinFile(**{**found, "expires": float(found["expires"])})


def _digest(body: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def encrypted(secret: str, message: dict[str, str]) -> str:
    """The message as it lies in the making site's monitors."""
    return encryption.encrypt(base64.b64decode(secret), tuple(sorted(message.items())))


def decrypted(secret: str, text: str) -> dict[str, str]:
    """The message again. Raises RefusedError when the key does not fit."""
    try:
        return {key: str(value) for key, value in encryption.decrypt(base64.b64decode(secret), text)}
    except (RecordError, ValueError) as error:
        raise RefusedError(
            "The file does not open what is kept for it: it was changed. Make a new one with --offer."
        ) from error
