"""Sealing of secrets in records with a key both sites hold; the key file is checked for its mode."""
from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

from onedr.host import bridge
from onedr.model.errors import RecordError
from onedr.model.template import Pairs, freeze

KEY_BYTES = 64


def load_key(path: Path) -> bytes | None:
    """The key (file: base64 of 64 bytes, lines may be wrapped), or None when there is none.

    Raises RecordError for a bad one, one this user cannot read, or one others may read.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        found, key = front_end.call("record_key")
        return key if found else None
    try:
        status, text = path.stat(), path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"Record key {path} cannot be read: {error.strerror}") from error
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise RecordError(f"Record key {path} may be read by others; chmod 600 {path}")
    try:
        key = base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise RecordError(f"Record key {path} is not base64; make it anew on both sites") from error
    if len(key) != KEY_BYTES:
        wrong = f"holds {len(key)} bytes instead of {KEY_BYTES}"
        raise RecordError(f"Record key {path} {wrong}; make it anew on both sites")
    return key


def fingerprint(key: bytes | None) -> str:
    """What tells two record keys apart and says nothing about either; empty for none.

    A key is 64 random bytes.
    """
    import hashlib  # drivers do without

    return hashlib.sha256(b"onedr record key\0" + key).hexdigest()[:32] if key else ""


def seal(key: bytes, secrets: Pairs, *bound: str) -> str:
    """Encrypt attributes (AES-SIV, RFC 5297: the same secrets give the same text, so the record stays
    unchanged).

    `bound`, what they belong to, is not in the text: who opens it says the same, or it does not open.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # only sites with a key pay for the import

    return base64.b64encode(AESSIV(key).encrypt(json.dumps(secrets).encode(), _data(bound))).decode()


def unseal(key: bytes, sealed: str, *bound: str) -> Pairs:
    """Decrypt what `seal` made. Raises RecordError for another key, another owner or a damaged text."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    try:
        opened = json.loads(AESSIV(key).decrypt(base64.b64decode(sealed, validate=True), _data(bound)))
        return freeze(opened)  # type: ignore[return-value]
    except (InvalidTag, ValueError) as error:
        raise RecordError(
            "sealed secrets do not open with this site's key; copy the peer's record.key"
        ) from error


def _data(bound: tuple[str, ...]) -> list[bytes] | None:
    return [text.encode() for text in bound] or None
