"""OneDR's documents in oned: one for each protected datastore, for Sunstone and other clients to show."""
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lxml import etree

from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.opennebula.api import APPEND, NO_SUCH_OBJECT, FrontEnd, number

# Far from those that OpenNebula uses: 0, 100 (services), 101 (their templates), 102 to 104, 120. A type is no
# reservation: any user may create documents of any.
TYPE = 1042
ATTRIBUTE = "DR_DOCUMENT"  # of a datastore: the id of its document
_CLOSED = (1, 0, 0, 0, 0, 0, 0, 0, 0)


class Rights(NamedTuple):
    """Who may read a document. No one but the group oneadmin writes it."""

    uid: int
    gid: int
    group: bool  # its group too

    @property
    def bits(self) -> tuple[int, ...]:
        """USE, MANAGE and ADMIN of owner, group and others."""
        return (1, 0, 0, int(self.group), 0, 0, 0, 0, 0)


def rights_for(datastore: etree._Element) -> Rights:
    """Of a `<DATASTORE>`'s document. It names VMs of other people, so those read it who may act on the
    datastore: its owner, and its group where that has MANAGE. Others never do, whatever they have there.
    """
    may_act = datastore.findtext("PERMISSIONS/GROUP_M") == "1"
    return Rights(number(datastore, "UID"), number(datastore, "GID"), may_act)


def name_of(datastore_id: int) -> str:
    """NAME of a datastore's document."""
    return f"onedr-{datastore_id}"


def is_of(datastore_id: int, frontend: FrontEnd, document_id: int) -> bool:
    """Does a document exist, and is it the one of this datastore? Ids restart where oned was set up again.
    Raises FrontEndError.
    """
    try:
        answer = frontend.call("document.info", document_id, False)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return False
        raise
    try:
        found = template.parse_xml(answer)
    except ValueError as error:
        raise FrontEndError(f"[one.document.info] answered {error}") from error
    return (found.findtext("TYPE"), found.findtext("NAME")) == (str(TYPE), name_of(datastore_id))


def allocate(datastore_id: int, frontend: FrontEnd) -> int:
    """A new document without content, which only oneadmin may read. Raises FrontEndError."""
    described = template.to_xml((("NAME", name_of(datastore_id)),))
    made = int(frontend.call("document.allocate", described, TYPE))
    frontend.call("document.chmod", made, *_CLOSED)  # whatever oneadmin's umask is
    return made


def give(document_id: int, rights: Rights, frontend: FrontEnd) -> None:
    """Set owner, group and rights: closed first, so that no group reads it in between. Raises FrontEndError.
    """
    frontend.call("document.chmod", document_id, *_CLOSED)
    frontend.call("document.chown", document_id, rights.uid, rights.gid)
    frontend.call("document.chmod", document_id, *rights.bits)


def write(document_id: int, parts: Mapping[str, str], frontend: FrontEnd) -> None:
    """Set attributes and keep the others. Raises FrontEndError."""
    frontend.call("document.update", document_id, template.to_xml(tuple(parts.items())), APPEND)


def remove(document_id: int, frontend: FrontEnd) -> None:
    """Gone is done. Raises FrontEndError."""
    try:
        frontend.call("document.delete", document_id)
    except FrontEndError as error:
        if error.code != NO_SUCH_OBJECT:
            raise
