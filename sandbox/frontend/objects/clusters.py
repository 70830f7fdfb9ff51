"""The one cluster and the one zone."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.pool_object import PoolObject, ids_xml


@dataclass
class Cluster(PoolObject):
    """A cluster; its members are filled in when it is shown."""

    KIND: ClassVar[str] = "cluster"
    ROOT: ClassVar[str] = "CLUSTER"
    LABEL: ClassVar[str] = "cluster"

    hosts: list[int] = field(default_factory=list)
    datastores: list[int] = field(default_factory=list)
    vnets: list[int] = field(default_factory=list)

    def to_xml(self) -> str:
        return (f"<CLUSTER><ID>{self.oid}</ID><NAME>{self.name}</NAME>{ids_xml('HOSTS', self.hosts)}"
                f"{ids_xml('DATASTORES', self.datastores)}{ids_xml('VNETS', self.vnets)}"
                f"{self.template.to_xml()}</CLUSTER>")


@dataclass
class Zone(PoolObject):
    """The zone."""

    KIND: ClassVar[str] = "zone"
    ROOT: ClassVar[str] = "ZONE"
    LABEL: ClassVar[str] = "zone"

    def to_xml(self) -> str:
        return (f"<ZONE><ID>{self.oid}</ID><NAME>{self.name}</NAME><STATE>0</STATE>{self.template.to_xml()}"
                "<SERVER_POOL></SERVER_POOL></ZONE>")
