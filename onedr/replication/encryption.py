"""Encryption of the secrets in records with a key that both sites have.

The mode of the key file is checked.
"""
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
    """The key in a file (base64 of 64 bytes, lines may be wrapped); None when there is no file.

    Raises RecordError when it is invalid, unreadable, or readable by other users.
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
        raise RecordError(f"Record key {path} can be read by other users; chmod 600 {path}")
    try:
        key = base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise RecordError(
            f"Record key {path} is not base64; create a new one and copy it to both sites"
        ) from error
    if len(key) != KEY_BYTES:
        wrong = f"contains {len(key)} bytes instead of {KEY_BYTES}"
        raise RecordError(f"Record key {path} {wrong}; create a new one and copy it to both sites")
    return key


def fingerprint(key: bytes | None) -> str:
    """A fingerprint that distinguishes record keys without revealing them; empty when there is no key.

    A key is 64 random bytes.
    """
    import hashlib  # drivers do not need it

    return hashlib.sha256(b"onedr record key\0" + key).hexdigest()[:32] if key else ""


def encrypt(key: bytes, secrets: Pairs, *bound: str) -> str:
    """Encrypt attributes (AES-SIV, RFC 5297: the same secrets give the same text, so the record stays
    unchanged).

    `bound`, what they belong to, is not in the text: who opens it says the same, or it does not open.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # only sites with a key need it

    return base64.b64encode(AESSIV(key).encrypt(json.dumps(secrets).encode(), _data(bound))).decode()


def decrypt(key: bytes, sealed: str, *bound: str) -> Pairs:
    """Decrypt what `encrypt` made. Raises RecordError for another key, another owner or a damaged text."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    try:
        opened = json.loads(AESSIV(key).decrypt(base64.b64decode(sealed, validate=True), _data(bound)))
        return freeze(opened)  # type: ignore[return-value]
    except (InvalidTag, ValueError) as error:
        raise RecordError(
            "the encrypted secrets cannot be decrypted: they were encrypted with another key, for another "
            "VM, or are damaged; when the sites' keys differ, copy the peer's record.key"
        ) from error


def _data(bound: tuple[str, ...]) -> list[bytes] | None:
    return [text.encode() for text in bound] or None
