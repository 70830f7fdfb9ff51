"""A datastore in memory with its pool, and pages of Sunstone that write it as they knew it."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lxml import etree

from onedr.model.template import Pairs, parse_xml
from onedr.protection import pool_settings, settle
from onedr.protection.settle_rules import Known
from onedr.runs import datastore_message

DATASTORE = 100
STOCK: dict[str, str] = {"POOL_NAME": "one", "CEPH_USER": "libvirt", "BRIDGE_LIST": "localhost"}
OURS = {"LN_TARGET": "NONE", "CLONE_TARGET": "SELF"}  # set by oned with TM_MAD


class World:
    """oned's side of one datastore, as oned 7.4 updates it, and what the pool knows of it."""

    def __init__(self, protected: bool = True):
        self.drivers = {"DS_MAD": "ceph_dr", "TM_MAD": "ceph_dr"}
        self.template: dict[str, str] = {**STOCK, **OURS, **({"DR_PROTECT": "YES"} if protected else {})}
        self.known: Known | None = None
        self.refusal = ""  # kept in the pool
        self.name = "ceph"

    def update(self, attributes: dict[str, str], append: bool) -> None:
        if not append:
            self.template = {}
        self.template.update({key: value for key, value in attributes.items() if key not in self.drivers})
        self.drivers.update({key: value for key, value in attributes.items() if key in self.drivers})
        if "TM_MAD" in attributes:
            self.template.update(OURS)

    def page(self) -> dict[str, str]:
        """The whole template, as a page that is opened now knows it."""
        return {**self.template, **self.drivers}

    def datastore(self, _: int) -> etree._Element:
        root = parse_xml("<DATASTORE><TYPE>0</TYPE><UNAME>oneadmin</UNAME></DATASTORE>")
        for key, value in (("ID", str(DATASTORE)), ("NAME", self.name), *self.drivers.items()):
            etree.SubElement(root, key).text = value
        shown = etree.SubElement(root, "TEMPLATE")
        for key, value in self.page().items():
            etree.SubElement(shown, key).text = value
        return root

    def update_datastore(self, _: int, changes: Pairs) -> None:
        self.update(dict(changes), append=True)

    def hook(self) -> Pairs:
        return settle.take_request(self, DATASTORE, self)  # type: ignore[arg-type]

    def keeper(self) -> None:
        settle.put_right(self, DATASTORE, self)  # type: ignore[arg-type]


@contextmanager
def in_memory() -> Iterator[None]:
    """Let the pool's entry be `World.known`, where a World is given as the pool."""
    def write(world: Any, _: int, known: Known) -> None:
        world.known = known

    @contextmanager
    def alone(*_: object) -> Iterator[None]:
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_settings, "read_known", lambda world, _: world.known)
        patch.setattr(pool_settings, "write_known", write)
        patch.setattr(settle, "_alone", alone)
        patch.setattr(datastore_message, "refuse", lambda world, _, reason, __: setattr(world, "refusal", reason))
        yield
