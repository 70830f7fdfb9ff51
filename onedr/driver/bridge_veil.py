"""Secrets in what goes to a bridge host are replaced by words that stand for them, and put back in what comes
from it (docs/bridges.md).

What is a secret is what is one in a record (replication/secrets.py). A word comes back for its secret only
where it is hidden again when it is next shown: under the name of a secret.
"""
from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Collection

from lxml import etree

from onedr.host.bridge import BridgeRefusedError
from onedr.model.template import Pairs
from onedr.opennebula.own_marks import STAND_IN
from onedr.replication.secrets import is_secret

_WORD = re.compile(r"\$?ONEDR-HIDDEN-[0-9a-f]{32}")
_PATHS = ("CEPH_KEY",)  # names of files on the bridge host, not keys


class Veil:
    """The secrets of one work item. Equal secrets have equal words; the words are of this process only.
    `also`: names of DR_SECRET_ATTRS here.
    """

    def __init__(self, also: Collection[str] = ()) -> None:
        self._key = os.urandom(32)
        self._secrets: dict[str, str] = {}
        self._also = also
        # opened by name and secret: the other site may call more names secret
        self._opened: set[tuple[str, str]] = set()

    def word(self, secret: str) -> str:
        """What stands for a secret. It begins with `$` where the secret has one: such values of a context are
        not resolved by oned (opennebula/vm_template.py).
        """
        if not secret:
            return secret
        digest = hmac.new(self._key, secret.encode(), hashlib.sha256).hexdigest()[:32]
        word = f"{'$' if '$' in secret else ''}ONEDR-HIDDEN-{digest}"
        self._secrets[word] = secret
        return word

    def secret(self, word: str) -> str:
        """The secret that a word stands for; any other text as it is.
        Raises BridgeRefusedError for a word of another process.
        """
        if not _WORD.fullmatch(word):
            return word
        if word not in self._secrets:
            raise BridgeRefusedError("a secret it was not given")
        return self._secrets[word]

    def hide(self, root: etree._Element) -> None:
        """Replace the secrets below an element."""
        def hidden(leaf: etree._Element, secret: bool) -> str | None:
            text = leaf.text or ""
            return self.word(text) if secret or (str(leaf.tag), text) in self._opened else None

        _each(root, hidden, self._also)

    def show(self, root: etree._Element) -> None:
        """Put the secrets below an element back. Raises BridgeRefusedError for one in any other place."""
        def shown(leaf: etree._Element, secret: bool) -> str | None:
            text = leaf.text or ""
            if secret or (str(leaf.tag), self._secrets.get(text, "")) in self._opened:
                return self.secret(text)
            if any(word in self._secrets for word in _WORD.findall(leaf.text or "")):
                raise BridgeRefusedError(f"a secret in {leaf.tag}, which is not hidden")
            return None

        _each(root, shown, self._also)

    def hide_pairs(self, secrets: Pairs) -> Pairs:
        """Opened secrets by their places, hidden."""
        self._opened |= {(place.rpartition("/")[2], value) for place, value in secrets}
        return tuple((place, self.word(value)) for place, value in secrets)

    def show_pairs(self, secrets: Pairs) -> Pairs:
        """The same backwards."""
        return tuple((place, self.secret(value)) for place, value in secrets)


def _each(
    root: etree._Element, change: Callable[[etree._Element, bool], str | None], also: Collection[str]
) -> None:
    for leaf in root.iter(etree.Element):
        if len(leaf):
            continue
        parent = leaf.getparent()
        above = "" if parent is None else str(parent.tag)
        text = change(leaf, _is_hidden(str(leaf.tag), above, also))
        if text:
            leaf.text = text


def _is_hidden(tag: str, above: str, also: Collection[str]) -> bool:
    if tag in _PATHS:
        return False
    return tag.startswith(STAND_IN) or is_secret(tag, also) or is_secret(above, also)
