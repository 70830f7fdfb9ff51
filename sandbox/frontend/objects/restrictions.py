"""Restricted attributes: those that users outside group oneadmin can neither set nor change (oned.conf)."""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.frontend.objects.errors import unauthorized
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import Caller


def demand_unrestricted(who: Caller, template: Template, names: Iterable[str], what: str) -> None:
    """Refuse a new template of an ordinary user with a restricted attribute; `what` opens oned's sentence."""
    found = "" if who.is_admin else included(template, names)
    if found:
        raise unauthorized(who.uid, f"{what} includes a restricted attribute {found}")


def included(template: Template, names: Iterable[str]) -> str:
    """The restricted attribute that a template sets, as oned's messages name it; empty for none.

    `A/B` restricts B in vectors A and is called B; `A` restricts a single value only.
    """
    for outer, parts in _grouped(names):
        for vector in template.vectors(outer):
            for part in parts:
                if part in vector:
                    return part
        if not parts and _single(template, outer) is not None:
            return outer
    return ""


def changed(new: Template, old: Template, names: Iterable[str], append: bool) -> str:
    """The restricted attribute that an update would change; empty for none: then `new` keeps the old ones."""
    for outer, parts in _grouped(names):
        if parts:
            named = outer in new or not append and outer in old
            if named and _values(new, outer, parts) != _values(old, outer, parts):
                return outer
            continue
        given, kept = _single(new, outer), _single(old, outer)
        if given is not None and given != (kept or ""):
            return outer
        if given is None and kept is not None:
            new.add(outer, kept)
    return ""


def _grouped(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, set[str]] = {}
    for name in names:
        outer, _, part = name.partition("/")
        found.setdefault(outer, set()).update([part] if part else [])
    for outer in sorted(found):
        yield outer, sorted(found[outer])


def _single(template: Template, name: str) -> str | None:
    return next((value for value in template.get(name, []) if isinstance(value, str)), None)


def _values(template: Template, outer: str, parts: list[str]) -> list[str]:
    vectors = template.vectors(outer)
    return sorted(f"{part}={vector[part]}" for vector in vectors for part in parts if part in vector)
