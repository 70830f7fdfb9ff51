"""The join file, which is carried from one site to the other. It gives access, once, to one encrypted message
at the site that created it.

It contains the addresses of that site's monitors, a user that may only fetch and remove that message and
remove itself, and the key of the message. The content of the message (Ceph's bootstrap token, the record key)
is neither in the file nor readable without it.
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
    """The content of a join file; `expires`: epoch seconds."""

    join_id: str
    site: str
    pool: str
    fsid: str
    mon_host: str
    expires: float
    key: str = field(repr=False)
    secret: str = field(repr=False)


def new_id() -> str:
    """A random id of a join file: eight hexadecimal digits."""
    return os.urandom(4).hex()


def new_secret() -> str:
    """A random key for a message."""
    return base64.b64encode(os.urandom(encryption.KEY_BYTES)).decode()


def write_join_file(path: Path, made: JoinFile) -> None:
    """Write a join file with mode 0600. Raises InputError."""
    body = asdict(made)
    secret_file.write_secret(
        path, json.dumps({"onedr_join": _SCHEMA, **body, "sha256": _digest(body)}, indent=1) + "\n"
    )


def read_join_file(path: Path) -> JoinFile:
    """Read a join file.

    Raises InputError when it is not one, was changed or damaged, or can be read by others.
    """
    text = secret_file.read_secret(path)
    try:
        found = dict(json.loads(text))
        schema, digest = found.pop("onedr_join"), found.pop("sha256")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is not a file of onedr setup --offer.") from error
    if schema != _SCHEMA:
        raise InputError(
            f"{path} is of another release of OneDR (schema {schema}); use the same one at both sites."
        )
    if digest != _digest(found) or set(found) != set(JoinFile.__dataclass_fields__):
        raise InputError(
            f"{path} was changed or damaged; create a new one with onedr setup --offer."
        )
    return JoinFile(**{**found, "expires": float(found["expires"])})


def _digest(body: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def encrypted(secret: str, message: dict[str, str]) -> str:
    """The message, encrypted for the key store of the creating site's monitors."""
    return encryption.encrypt(base64.b64decode(secret), tuple(sorted(message.items())))


def decrypted(secret: str, text: str) -> dict[str, str]:
    """The decrypted message. Raises RefusedError when the key does not match."""
    try:
        return {key: str(value) for key, value in encryption.decrypt(base64.b64decode(secret), text)}
    except (RecordError, ValueError) as error:
        raise RefusedError(
            "The file does not match its message: it was changed. Create a new one with onedr setup --offer."
        ) from error
