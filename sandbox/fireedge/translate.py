"""FireEdge's JSON of oned's XML: one child of a name is an object or text, several an array, none ""."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Union
from xml.etree import ElementTree

Json = Union[str, "dict[str, Json]", "list[Json]"]


def to_json(xml: str) -> dict[str, Json]:
    """The document of an XML text."""
    root = ElementTree.fromstring(xml)
    return {root.tag: _value(root)}


def _value(element: ElementTree.Element) -> Json:
    if not len(element):
        return element.text or ""
    found: dict[str, Json] = {}
    for child in element:
        value, known = _value(child), found.get(child.tag)
        if known is None:
            found[child.tag] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            found[child.tag] = [known, value]
    return found


def to_xml(tag: str, value: object) -> str:
    """XML of mappings, lists and texts, as oned would write it."""
    element = ElementTree.Element(tag)
    _fill(element, value)
    return ElementTree.tostring(element, "unicode")


def _fill(element: ElementTree.Element, value: object) -> None:
    if not isinstance(value, Mapping):
        element.text = str(value)
        return
    for name, inside in value.items():
        for each in inside if isinstance(inside, list) else [inside]:
            _fill(ElementTree.SubElement(element, name), each)
