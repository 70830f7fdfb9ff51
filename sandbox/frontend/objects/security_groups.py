"""Security group objects."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.frontend.objects.pool_object import PoolObject


@dataclass
class SecurityGroup(PoolObject):
    """A security group; rules are data only."""

    KIND: ClassVar[str] = "secgroup"
    ROOT: ClassVar[str] = "SECURITY_GROUP"
    LABEL: ClassVar[str] = "security group"

    def to_xml(self) -> str:
        return (f"<SECURITY_GROUP>{self.head_xml()}<UPDATED_VMS></UPDATED_VMS><OUTDATED_VMS></OUTDATED_VMS>"
                f"<UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>{self.template.to_xml()}</SECURITY_GROUP>")
