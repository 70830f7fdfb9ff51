"""What the verbs share at their end: a refusal is shown on the datastore, a partial failure is an error."""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import rados

from onedr.ceph import connection
from onedr.driver.decode import ActionData
from onedr.host import log
from onedr.model.errors import FrontEndError, OneDRError, PartialError, RefusedError
from onedr.opennebula.api import FrontEnd
from onedr.runs import datastore_message


@contextmanager
def refusal_shown(frontend: FrontEnd, data: ActionData, shown: bool = True) -> Iterator[None]:
    """A refusal is also written on the datastore, for the person who set DR_ACTION: what is public of it."""
    try:
        yield
    except RefusedError as error:
        if shown:
            _answer(frontend, data, error.public or (
                f"what was asked for, for a reason that may name VMs or images ({error.word}). The log has "
                "it, and onedr on the front-end."
            ))
        raise


def _answer(frontend: FrontEnd, data: ActionData, why: str) -> None:
    now = time.time()
    try:
        with connection.connect(data.access) as pool:
            message = datastore_message.refuse(pool, data.datastore_id, why, now)
    except (OneDRError, rados.Error) as error:
        log.warning(f"the refusal is not kept in the pool: {error}")
        message = datastore_message.refusal_message(why, now)
    try:
        frontend.update_datastore(data.datastore_id, (("DR_MESSAGE", message),))
    except FrontEndError as silent:
        log.warn_oned(f"DR_MESSAGE not written: {silent}")


class Ended(Protocol):
    """How a run or a conversion ended: `failed` is what failed, and why."""

    @property
    def message(self) -> str: ...

    @property
    def failed(self) -> Mapping[str, str]: ...


def whole(outcome: Ended | None) -> None:
    """Raises PartialError when something failed; None is the outcome of a dry run."""
    if outcome is not None and outcome.failed:
        raise PartialError(outcome.message)
