"""Sealing of secrets in records with a key both sites hold; the key file is checked for its mode (P47)."""
from __future__ import annotations

import json
import stat
from pathlib import Path

from onedr.errors import RecordError
from onedr.template import Pairs, freeze


def load_key(path: Path) -> bytes | None:
    """The key, or None when there is none. Raises RecordError for one that others may read."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise RecordError(f"Record key {path} may be read by others; chmod 600 {path}")
    return path.read_bytes().strip()


def seal(key: bytes, secrets: Pairs) -> str:
    """Encrypt attributes (Fernet: AES-128-CBC with HMAC-SHA256)."""
    from cryptography.fernet import Fernet  # only sites with a key pay for the import

    return Fernet(key).encrypt(json.dumps(secrets).encode()).decode()


def unseal(key: bytes, sealed: str) -> Pairs:
    """Decrypt what `seal` made. Raises RecordError for another key or a damaged text."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return freeze(json.loads(Fernet(key).decrypt(sealed.encode())))  # type: ignore[return-value]
    except InvalidToken as error:
        raise RecordError("sealed secrets do not open with this site's record key; copy the peer's record.key") from error
