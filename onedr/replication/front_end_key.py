"""The record key as a bridge host has it:
the front-end seals, opens and signs, and the key never leaves it (docs/bridges.md).
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onedr.host.bridge import BridgeSession
from onedr.model.template import Pairs, freeze


class FrontEndKey:
    """Stands for the key's bytes. Every method raises what the front-end raised."""

    def __init__(self, front_end: BridgeSession):
        self._front_end = front_end

    def fingerprint(self) -> str:
        """As `encryption.fingerprint`."""
        return str(self._front_end.call("key_fingerprint")[0])

    def encrypt(self, secrets: Pairs, bound: tuple[str, ...]) -> str:
        """Seal attributes. Their values stand for secrets that the front-end did not send here."""
        return str(self._front_end.call("seal", secrets=secrets, bound=bound)[0])

    def decrypt(self, sealed: str, bound: tuple[str, ...]) -> Pairs:
        """Open sealed attributes. Words that stand for the secrets come back; oned's API takes those too."""
        return freeze(self._front_end.call("open", sealed=sealed, bound=bound)[0])  # type: ignore[return-value]

    def sign(self, kind: str, image: str, covered: Mapping[str, Any]) -> str:
        """The signature of a record's head, in hex."""
        return str(self._front_end.call("sign", kind=kind, image=image, covered=dict(covered))[0])

    def fits(self, kind: str, image: str, covered: Mapping[str, Any], mac: str) -> bool:
        """Is this the signature of that head?"""
        found, _ = self._front_end.call("fits", kind=kind, image=image, covered=dict(covered), mac=mac)
        return bool(found)
