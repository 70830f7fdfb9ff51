"""Adding to YAML files of others and taking that out again, with all else as it was written. Pure.

A parser says where things are; lines are put in or cut out; the result is parsed, and has to be the old data
with exactly this change. What cannot be edited so is refused.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from onedr.model.errors import InputError

Data = Any  # what a YAML file holds: mappings, lists, texts


def parse(text: bytes, where: str) -> Data:
    """The data of a file. Raises InputError."""
    try:
        return yaml.safe_load(text.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where} cannot be read as YAML: {reason}. Correct it first.") from error


def value_at(data: Data, path: Sequence[str]) -> Data:
    """What a mapping of mappings holds; None where there is nothing."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def with_key(text: bytes, path: Sequence[str], key: str, value: Data, where: str) -> bytes:
    """`key: value` as the last key below `path` (of the file for no path), instead of an older value.

    Raises InputError.
    """
    data = parse(text, where)
    if value_at(data, (*path, key)) == value:
        return text
    text = without_key(text, path, key, where)
    expected = _set(parse(text, where), (*path, key), value)
    added = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True)
    if not path:
        return _checked(_ended(text) + added.encode(), expected, where, added)
    lines = text.decode().splitlines(True)
    found = _node(text, path)
    if found is None:
        raise _by_hand(where, added)
    name, inside = found
    children = inside.value if isinstance(inside, yaml.MappingNode) and not inside.flow_style else []
    indent = children[0][0].start_mark.column if children else name.start_mark.column + 2
    at = (_last_line(inside) if children else name.end_mark.line) + 1
    new = "".join(" " * indent + line for line in added.splitlines(True))
    head = _ended("".join(lines[:at]).encode())
    return _checked(head + new.encode() + "".join(lines[at:]).encode(), expected, where, added)


def without_key(text: bytes, path: Sequence[str], key: str, where: str) -> bytes:
    """The file without this key below `path`. Raises InputError."""
    data = parse(text, where)
    inside = value_at(data, path)
    if not isinstance(inside, dict) or key not in inside:
        return text
    found = _node(text, (*path, key))
    if found is None:
        raise _by_hand(where, key)
    last = _last_line(found[1])
    expected = _set(data, (*path, key), None)
    if path and not value_at(expected, path):
        expected = _set_value(expected, path, None)  # a mapping whose only key is taken out is empty
    return _checked(_cut(text, found[0].start_mark.line, last), expected, where, key)


def with_item(text: bytes, item: Data, where: str) -> bytes:
    """The list with this item at its end. Raises InputError."""
    data = parse(text, where)
    if not isinstance(data, list):
        raise InputError(f"{where} is not a list of tabs. Restore it, then run this again.")
    if item in data:
        return text
    column = yaml.compose(text.decode()).start_mark.column
    added = yaml.safe_dump([item], sort_keys=False, allow_unicode=True)
    lines = "".join(" " * column + line for line in added.splitlines(True))
    return _checked(_ended(text) + lines.encode(), [*data, item], where, added)


def without_item(text: bytes, is_ours: Iterable[bool], where: str) -> bytes:
    """The list without the items that `is_ours` marks, in their order. Raises InputError."""
    data = parse(text, where)
    marks = list(is_ours)
    for place in sorted((number for number, ours in enumerate(marks) if ours), reverse=True):
        node = yaml.compose(text.decode()).value[place]
        expected = [item for number, item in enumerate(data) if number != place]
        text = _cut(text, node.start_mark.line, _last_line(node))
        text = _checked(text, expected or None, where, "take our tab out")
        data = expected
    return text


def _node(text: bytes, path: Sequence[str]) -> tuple[yaml.Node, yaml.Node] | None:
    """Nodes of the last key of the path and of its value."""
    inside, found = yaml.compose(text.decode()), None
    for key in path:
        pairs = inside.value if isinstance(inside, yaml.MappingNode) else ()
        found = next(((name, value) for name, value in pairs if name.value == key), None)
        if found is None:
            return None
        inside = found[1]
    return found


def _last_line(node: yaml.Node) -> int:
    """The last line that a node's own text is on; a block's end mark lies behind the comments after it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


def _cut(text: bytes, first: int, last: int) -> bytes:
    lines = text.decode().splitlines(True)
    return "".join([*lines[:first], *lines[last + 1:]]).encode()


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _set(data: Data, path: Sequence[str], value: Data) -> Data:
    """A copy with this value; None takes the key out."""
    if value is not None:
        return _set_value(data, path, value)
    inside = dict(data)
    if len(path) == 1:
        inside.pop(path[0])
        return inside or None
    return {**inside, path[0]: _set(inside[path[0]], path[1:], None)}


def _set_value(data: Data, path: Sequence[str], value: Data) -> Data:
    inside = dict(data or {})
    return {**inside, path[0]: _set_value(inside.get(path[0]), path[1:], value) if path[1:] else value}


def _checked(after: bytes, expected: Data, where: str, what: str) -> bytes:
    try:
        found = yaml.safe_load(after.decode())
    except yaml.YAMLError as error:
        raise _by_hand(where, what) from error
    if found != expected:
        raise _by_hand(where, what)
    return after


def _by_hand(where: str, what: str) -> InputError:
    told = " ".join(what.split())
    return InputError(
        f"{where} is written in a form that OneDR does not edit. Change this by hand, then run this again: "
        f"{told}"
    )
