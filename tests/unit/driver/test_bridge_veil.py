"""What a datastore names as secret stays on the front-end, and so does what the other site named."""
from __future__ import annotations

import pytest
from lxml import etree

from onedr.driver.bridge_veil import Veil
from onedr.host.bridge import BridgeRefusedError

VM = "<VM><USER_TEMPLATE><LICENCE>abc-1</LICENCE><NOTE>n</NOTE><VAULT><A>d-4</A></VAULT></USER_TEMPLATE></VM>"


def test_names_of_the_datastore_are_hidden_and_put_back() -> None:
    veil, root = Veil(frozenset({"LICENCE", "VAULT"})), etree.fromstring(VM)
    veil.hide(root)
    text = etree.tostring(root, encoding="unicode")
    assert "abc-1" not in text and "d-4" not in text and ">n<" in text
    veil.show(root)
    assert etree.tostring(root, encoding="unicode") == VM


def test_what_the_other_site_calls_secret_is_hidden_under_its_name_here_too() -> None:
    veil = Veil()
    ((_, word),) = veil.hide_pairs((("3/LICENCE", "abc-1"),))
    made = etree.fromstring(f"<T><LICENCE>{word}</LICENCE></T>")
    veil.show(made)
    assert made.findtext("LICENCE") == "abc-1"
    veil.hide(made)
    assert made.findtext("LICENCE") == word, "read back, it is hidden again"
    with pytest.raises(BridgeRefusedError, match="a secret in NOTE"):
        veil.show(etree.fromstring(f"<T><NOTE>{word}</NOTE></T>"))
