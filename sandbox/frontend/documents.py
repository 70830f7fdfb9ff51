"""Documents: templates with a type number, for applications."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.frontend import shared_calls
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.errors import internal, not_allocated
from sandbox.frontend.objects import PoolObject
from sandbox.frontend.users import MANAGE, USE, Caller

LARGEST = 10 * 1024 * 1024


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


shared_calls.add_info("document", Document)
shared_calls.add_update("document", Document)
shared_calls.add_rename("document", Document, "DOCUMENT", unique=False)
shared_calls.add_ownership("document", Document, unique=False)
shared_calls.add_lock("document", Document)


@api("one.document.allocate", "si")
def allocate(frontend: Frontend, who: Caller, text: str, kind: int) -> int:
    """A new document; names need not be unique."""
    if len(text) > LARGEST:
        raise not_allocated("document", "Error transforming the Document to XML.")
    template = shared_calls.read_template(text)
    oid = frontend.store.next_id("document")
    name = template.take("NAME") or f"document-{oid}"
    made = Document(**shared_calls.owned(Document, who, oid), name=name, type=kind, template=template)
    frontend.store.put(made)
    who.extra = made.to_xml()
    return oid


@api("one.document.clone", "is")
def clone(frontend: Frontend, who: Caller, oid: int, name: str) -> int:
    """A copy under another name."""
    found = frontend.store.get(Document, oid)
    who.demand(USE, found)
    if not name:
        raise internal("Invalid NAME, it cannot be empty")
    made = Document(**shared_calls.owned(Document, who, frontend.store.next_id("document")), name=name,
                    type=found.type, template=found.template.clone())
    frontend.store.put(made)
    return made.oid


@api("one.document.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a document."""
    found = frontend.store.get(Document, oid)
    who.demand(MANAGE, found)
    who.extra = found.to_xml()
    frontend.store.drop(found)
    return oid


@api("one.documentpool.info", "iiii")
def pool(frontend: Frontend, who: Caller, which: int, start: int, end: int, kind: int) -> str:
    """Documents of a type."""
    found = [obj for obj in shared_calls.listing(frontend, who, Document, which, start, end)
             if isinstance(obj, Document) and obj.type == kind]
    return f"<DOCUMENT_POOL>{''.join(obj.pool_xml() for obj in found)}</DOCUMENT_POOL>"
