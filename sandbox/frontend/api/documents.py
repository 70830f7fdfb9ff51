"""one.document.* and one.documentpool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.documents import Document
from sandbox.frontend.objects.errors import not_allocated
from sandbox.frontend.objects.users import MANAGE, Caller

LARGEST_BYTES = 10 * 1024 * 1024

shared_calls.add_info("document", Document)
shared_calls.add_update("document", Document)
shared_calls.add_rename("document", Document, "DOCUMENT", unique=False)
shared_calls.add_ownership("document", Document, unique=False)
shared_calls.add_lock("document", Document)


@api("one.document.allocate", "si")
def allocate(frontend: Frontend, who: Caller, text: str, kind: int) -> int:
    """A new document; names need not be unique."""
    if len(text) > LARGEST_BYTES:
        raise not_allocated("document", "Error transforming the Document to XML.")
    template = shared_calls.read_template(text)
    oid = frontend.store.next_id("document")
    name = template.take("NAME") or f"document-{oid}"
    made = Document(**who.owner_of(oid), name=name, type=kind, template=template)
    frontend.store.put(made)
    who.extra = made.to_xml()
    return oid


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
