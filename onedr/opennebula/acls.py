"""Access rules of one site that the other lacks, for users and groups that own VMs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lxml import etree

from onedr.model.site_map import Direction


class Rule(NamedTuple):
    """A rule with names instead of ids. `scope`: `*`, or what kind of place it is for; `text`: as oned
    shows it.
    """

    who: str  # `user` or `group`
    name: str
    kinds: frozenset[str]
    scope: str
    rights: frozenset[str]
    text: str


def read_rules(pool: etree._Element, users: Mapping[str, int], groups: Mapping[str, int]) -> tuple[Rule, ...]:
    """The rules of `<ACL_POOL>` that are about one user or group. A rule of another form is passed over."""
    found = []
    names = {
        **{f"#{number}": ("user", name) for name, number in users.items()},
        **{f"@{number}": ("group", name) for name, number in groups.items()},
    }
    for element in pool.iterfind("ACL"):
        words = (element.findtext("STRING") or "").split()
        if len(words) < 3 or words[0] not in names or "/" not in words[1]:
            continue
        kinds, _, scope = words[1].partition("/")
        who, name = names[words[0]]
        found.append(
            Rule(
                who,
                name,
                frozenset(kinds.split("+")),
                scope[:1],
                frozenset(words[2].split("+")),
                " ".join(words),
            )
        )
    return tuple(found)


def missing(
    rules: Iterable[Rule], here: Iterable[Rule], owners: Iterable[tuple[str, str]], mapping: Direction | None
) -> list[str]:
    """Rules of the other site about these owners (`user` or `group`, name there) that nothing here
    corresponds to: the same rights on the same kinds, for the owner as he is called here.
    """
    known, wanted, found = tuple(here), set(owners), []
    for rule in rules:
        if (rule.who, rule.name) not in wanted:
            continue
        name = _called(rule, mapping)
        if not any(_covers(own, rule, name) for own in known):
            lacking = f"{name} has nothing like it here" if name else "has no counterpart here"
            found.append(f"{rule.who} {rule.name} has {rule.text!r} there, and {lacking}")
    return found


def _covers(own: Rule, rule: Rule, name: str) -> bool:
    return (
        (own.who, own.name) == (rule.who, name)
        and own.kinds >= rule.kinds
        and own.rights >= rule.rights
        and own.scope in ("*", rule.scope)
    )


def _called(rule: Rule, mapping: Direction | None) -> str:
    if mapping is None:
        return rule.name
    candidates = mapping.candidates(f"{rule.who}s", rule.name)
    return str(candidates[0]) if len(candidates) == 1 else ""
