"""OpenNebula templates as ordered pairs, so that order and repeated keys survive a round trip.

`Pairs` is a tuple of (KEY, value); a value is a text or, for a vector attribute, again Pairs.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union

from lxml import etree

Value = Union[str, "Pairs"]
Pairs = tuple[tuple[str, Any], ...]

# No entities, no network, no huge trees: driver data and API answers are text from outside.
def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def parse_xml(text: str | bytes) -> etree._Element:
    """Parse one XML document strictly.

    Raises ValueError for text that is not well-formed or declares a document type, which could define
    entities.
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("XML with a document type declaration is not accepted")
    return root


def from_element(element: etree._Element) -> Pairs:
    """The children of `element` as Pairs, order kept, comments dropped."""
    return tuple(
        (str(child.tag), from_element(child) if len(child) else (child.text or ""))
        for child in element
        if isinstance(child.tag, str)
    )


def to_xml(pairs: Value, root: str = "TEMPLATE") -> str:
    """`<TEMPLATE>...</TEMPLATE>`, the form oned accepts wherever it takes template text
    (docs/opennebula-facts.md O26).
    """
    return etree.tostring(_element(root, pairs), encoding="unicode")


def _element(tag: str, value: Value) -> etree._Element:
    element = etree.Element(tag)
    if isinstance(value, str):
        element.text = value or etree.CDATA("")  # oned passes over an element without any text (7.4.0)
    else:
        element.extend([_element(key, inner) for key, inner in value])
    return element


def get(pairs: Pairs, key: str, default: str = "") -> str:
    """The first plain value of `key`; `default` when absent or empty."""
    for name, value in pairs:
        if name == key and isinstance(value, str) and value:
            return value
    return default


def vectors(pairs: Pairs, key: str) -> Iterator[Pairs]:
    """Every vector attribute named `key`, in order (DISK, NIC ...)."""
    for name, value in pairs:
        if name == key and not isinstance(value, str):
            yield value


def without(pairs: Pairs, *keys: str) -> Pairs:
    """`pairs` without the attributes named in `keys`."""
    return tuple((name, value) for name, value in pairs if name not in keys)


def freeze(value: Any) -> Value:
    """Turn the lists of decoded JSON back into Pairs."""
    if isinstance(value, str):
        return value
    return tuple((str(key), freeze(inner)) for key, inner in value)
