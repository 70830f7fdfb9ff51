"""Where a datastore's document is, and how its parts get there.

The pool knows its id (omap of the object `onedr.documents`: the datastore's id at this site), because anyone
who manages the datastore may write another one into DR_DOCUMENT. Each part has one writer and replaces its
own attribute only. Nothing reads a document back.
"""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.host import bridge, log
from onedr.host.waiting import wait_until
from onedr.model import template
from onedr.model.errors import FrontEndError, StorageError
from onedr.opennebula import documents
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes
from onedr.opennebula.documents import Rights

OBJECT = "onedr.documents"
_LOCK_LIMIT_S, _PAUSE_S = 20, 0.2
# Endings of a datastore's keys beside its id: what STATUS was like, and when RUN was begun.
STATUS, RUN = ".status", ".run"


class Place:
    """A datastore's document at this front-end, as far as this process knows it."""

    def __init__(self, datastore_id: int, frontend: FrontEnd):
        self._id, self._frontend = datastore_id, frontend
        self._document: int | None = None
        self._given: Rights | None = None

    def put(self, known: int | None, parts: Mapping[str, str], create: bool) -> int | None:
        """Set parts of the document. Returns its id; None where `known` is not this datastore's, unless it is
        to be created then. Raises FrontEndError.
        """
        document_id = self._found(known, create)
        if document_id is None:
            return None
        datastore = self._frontend.datastore(self._id)
        wanted = documents.rights_for(datastore)
        if wanted != self._given:
            documents.give(document_id, wanted, self._frontend)
            self._given = wanted
        try:
            documents.write(document_id, parts, self._frontend)
        except FrontEndError as error:
            if error.code == NO_SUCH_OBJECT:
                self._document = self._given = None  # the next one is new
            raise
        if template.get(attributes(datastore), documents.ATTRIBUTE) != str(document_id):
            self._frontend.update_datastore(self._id, ((documents.ATTRIBUTE, str(document_id)),))
        return document_id

    def _found(self, known: int | None, create: bool) -> int | None:
        if self._document is None or known != self._document:
            self._document = self._given = None
            if known is not None and documents.is_of(self._id, self._frontend, known):
                self._document = known
            elif create:
                self._document = documents.allocate(self._id, self._frontend)
                log.info(f"document {self._document} is the datastore's")
        return self._document


class Document:
    """The same, with the id that the pool knows. For one thread."""

    def __init__(self, pool: Pool, datastore_id: int, frontend: FrontEnd):
        self._pool, self._id = pool, datastore_id
        self._place = None if bridge.bridge_session() is not None else Place(datastore_id, frontend)

    def put(self, parts: Mapping[str, str]) -> None:
        """Set parts: JSON text by name. Raises FrontEndError, StorageError, rados.Error."""
        if self._put(document_id(self._pool, self._id), parts, False) is None:
            self._put_first(parts)

    def _put_first(self, parts: Mapping[str, str]) -> None:
        """Two processes that find none must not create two."""
        lock = ExclusiveLock(self._pool, f"onedr.document.{self._id}")
        if not wait_until(lock.acquire, _LOCK_LIMIT_S, _PAUSE_S):
            raise StorageError(f"Another process has been creating the document for {_LOCK_LIMIT_S} s.")
        try:
            found = self._put(document_id(self._pool, self._id), parts, True)
            own = str(self._id)  # nothing of STATUS is there yet
            omap.write_keys(self._pool, OBJECT, {own: str(found).encode(), f"{own}{STATUS}": b""})
        finally:
            lock.release()

    def _put(self, known: int | None, parts: Mapping[str, str], create: bool) -> int | None:
        if self._place is not None:
            return self._place.put(known, parts, create)
        front_end = bridge.bridge_session()
        assert front_end is not None
        answer = front_end.call(
            "document", datastore_id=self._id, known=known, parts=dict(parts), create=create)[0]
        return None if answer is None else int(answer)


def document_id(pool: Pool, datastore_id: int) -> int | None:
    """What the pool knows; None when there is none, or the note is damaged. Raises rados.Error."""
    text = omap.read_keys(pool, OBJECT, (str(datastore_id),)).get(str(datastore_id), b"")
    return int(text) if text.isdigit() and len(text) < 10 else None


def remove(pool: Pool, datastore_id: int, frontend: FrontEnd) -> None:
    """Remove a datastore's document and what the pool knows of it. Raises FrontEndError, rados.Error."""
    known = document_id(pool, datastore_id)
    if known is not None:
        front_end = bridge.bridge_session()
        if front_end is not None:
            front_end.call("remove_document", datastore_id=datastore_id, known=known)
        else:
            remove_here(datastore_id, known, frontend)
    with suppress(rados.ObjectNotFound):
        for ending in ("", STATUS, RUN):
            omap.drop_keys(pool, OBJECT, f"{datastore_id}{ending}")
        if not omap.list_keys(pool, OBJECT, ""):
            pool.io.remove_object(OBJECT)


def remove_here(datastore_id: int, known: int, frontend: FrontEnd) -> None:
    """Remove a document, if it is this datastore's. Raises FrontEndError."""
    if documents.is_of(datastore_id, frontend, known):
        documents.remove(known, frontend)


def note_run(pool: Pool, datastore_id: int, at: float) -> None:
    """RUN shows a run from now on: whoever finds that none is in progress empties it. Raises rados.Error."""
    omap.write_keys(pool, OBJECT, {f"{datastore_id}{RUN}": f"{at:.3f}".encode()})


def run_noted(pool: Pool, datastore_id: int, before: float) -> bool:
    """Does RUN show a run that began before this moment (epoch seconds)? Raises rados.Error."""
    key = f"{datastore_id}{RUN}"
    text = omap.read_keys(pool, OBJECT, (key,)).get(key)
    try:
        return text is not None and float(text) < before
    except ValueError:
        return True


def forget_run(pool: Pool, datastore_id: int) -> None:
    """RUN shows none any more. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        omap.drop_keys(pool, OBJECT, f"{datastore_id}{RUN}")
