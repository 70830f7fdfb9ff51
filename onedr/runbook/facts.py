"""What a run book is made of, and the book itself. Data only."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from onedr.failover.facts import FailoverFacts
from onedr.model.template import Pairs
from onedr.model.types import CephAccess
from onedr.opennebula.vms import PeerVm


@dataclass(frozen=True)
class BookFacts:
    """Facts of a failover as this site alone knows them, and what commands need besides.

    `attributes`: of the datastore. `images`: (user id, NAME) of every image here.
    `secrets`: by origin, names of the attributes whose values stay sealed. `unopened`: by origin, why even
    their names are not known.
    """

    failover: FailoverFacts
    datastore_id: int
    access: CephAccess
    site: str
    site_index: int
    made: str  # when, for people
    attributes: Pairs = ()
    users: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    images: frozenset[tuple[int, str]] = frozenset()
    system_datastores: tuple[tuple[int, Pairs], ...] = ()  # with OneDR's driver
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unopened: Mapping[str, str] = field(default_factory=dict)
    peer_seen: str = ""
    peer_addresses: tuple[tuple[str, int], ...] = ()  # of its monitors
    peer_vms: tuple[PeerVm, ...] | None = None  # None: its front-end cannot be asked
    fence_command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Lines for a shell. `here`: to be run at this site, in the order of the book; else where and when the
    text before says.
    """

    lines: tuple[str, ...]
    here: bool = True


@dataclass(frozen=True)
class Title:
    """The heading of a part of a chapter."""

    text: str


Part = Union[str, Title, Block]  # a text is a paragraph in Markdown


@dataclass(frozen=True)
class Chapter:
    """One chapter of the book."""

    title: str
    parts: tuple[Part, ...]
