"""Signatures of records: a record counts where a holder of the record key wrote it, for this very image
(docs/records.md, "Authentic").

HMAC-SHA256 under a key derived from the record key by HKDF (RFC 5869), so that it is not the key that seals
secrets. It covers the record's kind, its image, and the whole head: cluster id, site, monitors, generation,
time and the body's SHA-256.
"""
from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import rbd

from onedr.ceph import mirroring
from onedr.model.records import Proof
from onedr.replication.encryption import RecordKey
from onedr.replication.front_end_key import FrontEndKey

FIELD = "mac"
# Where the body lies says nothing; the body's digest is in the head.
_NOT_COVERED = (FIELD, "parts", "body")
_SALT = b"onedr"
_INFO = b"onedr record signature v1"


class Signer(NamedTuple):
    """The key that signs, and the image that is signed for."""

    key: RecordKey  # its derived key, or what has the front-end sign
    image: str


def signer(record_key: RecordKey | None, image: rbd.Image) -> Signer | None:
    """What signs and checks the records on an image; None at a site without a record key.

    The image is known by its mirroring id, which both sites share and no copied record brings along, and by
    its name, by which a VM's record refers to it.
    """
    if record_key is None:
        return None
    return signer_of(record_key, mirroring.global_id(image), image.get_name())


def signer_of(record_key: RecordKey | None, global_id: str, name: str) -> Signer | None:
    """The same for an image of this mirroring id and name."""
    return None if record_key is None else Signer(_signing(record_key), f"{global_id}/{name}")


def unmirrored(record_key: RecordKey, image: rbd.Image) -> Signer:
    """The same as it was before the image was mirrored: it had no mirroring id."""
    return Signer(_signing(record_key), f"/{image.get_name()}")


def _signing(record_key: RecordKey) -> RecordKey:
    return record_key if isinstance(record_key, FrontEndKey) else derived(record_key)


def derived(record_key: bytes) -> bytes:
    """The signing key: HKDF-SHA256, one block."""
    extracted = hmac.new(_SALT, record_key, hashlib.sha256).digest()
    return hmac.new(extracted, _INFO + b"\x01", hashlib.sha256).digest()


def sign(by: Signer, kind: str, head: Mapping[str, Any]) -> str:
    """The signature of a record's head, in hex. `kind` is the metadata key."""
    covered = {name: value for name, value in head.items() if name not in _NOT_COVERED}
    if isinstance(by.key, FrontEndKey):
        return by.key.sign(kind, by.image, covered)
    text = json.dumps([kind, by.image, covered], sort_keys=True, separators=(",", ":"))
    return hmac.new(by.key, text.encode(), hashlib.sha256).hexdigest()


def proof(by: Signer | None, kind: str, head: Mapping[str, Any]) -> Proof:
    """Whether a head as read is what a holder of the key wrote for this image."""
    if by is None:
        return Proof.UNCHECKED
    found = head.get(FIELD)
    if found is None:
        return Proof.UNSIGNED
    return Proof.AUTHENTIC if isinstance(found, str) and _fits(by, kind, head, found) else Proof.FORGED


def _fits(by: Signer, kind: str, head: Mapping[str, Any], mac: str) -> bool:
    if isinstance(by.key, FrontEndKey):
        covered = {name: value for name, value in head.items() if name not in _NOT_COVERED}
        return by.key.fits(kind, by.image, covered, mac)
    return hmac.compare_digest(mac.encode(), sign(by, kind, head).encode())
