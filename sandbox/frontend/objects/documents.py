"""Document objects: templates with a type number, for applications such as Sunstone."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.frontend.objects.pool_object import PoolObject


@dataclass
class Document(PoolObject):
    """A document."""

    KIND: ClassVar[str] = "document"
    ROOT: ClassVar[str] = "DOCUMENT"
    LABEL: ClassVar[str] = "document"

    type: int = 0

    def to_xml(self) -> str:
        head = (f"<ID>{self.oid}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID><UNAME>{self.uname}</UNAME>"
                f"<GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME><TYPE>{self.type}</TYPE>")
        return f"<DOCUMENT>{head}{self.lock_xml()}{self.permissions_xml()}{self.template.to_xml()}</DOCUMENT>"
