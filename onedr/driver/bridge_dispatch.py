"""Where the work of this process belongs: here, or on a bridge host of the datastore (BRIDGE_LIST)."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

from onedr.host import bridge, log
from onedr.host.bridge import NoBridgeError, Service, Work
from onedr.model.errors import OneDRError

if TYPE_CHECKING:  # a hook may end before it needs either
    from onedr.model.template import Pairs

_HERE_LIMIT_S = 5
# What this process was started for. Set at its entry,
# so that the work can be handed over from wherever the datastore becomes known.
_work: ContextVar[Work | None] = ContextVar("onedr_work", default=None)


class HandedOver(Exception):
    """The work was done on a bridge host; `answer` is its result.
    Only the process's entry catches it (docs/bridges.md).
    """

    def __init__(self, answer: str):
        super().__init__(answer)
        self.answer = answer


def begin(entry: str, argv: list[str]) -> None:
    """Note what this process was started for, so that it can be handed over."""
    _work.set(Work(entry, tuple(argv)))


def read_stdin() -> bytes:
    """All of standard input, which is handed over too."""
    data = sys.stdin.buffer.read()
    work = _work.get()
    if work is not None:
        _work.set(work._replace(stdin=data))
    return data


def is_bridged(bridge_list: str) -> bool:
    """Does the work of a datastore with this BRIDGE_LIST belong on another host?"""
    return bridge.bridge_session() is None and bool(bridge.hosts(bridge_list, 0))


def unless_here(attributes: Pairs, more: Mapping[str, Service] | None = None) -> None:
    """Return when the datastore's work belongs to this machine; else do it on a bridge and raise HandedOver.

    `more`: services of this action besides those of driver/bridge_services.py.

    When no bridge can begin, a front-end that reaches the Ceph cluster itself does the work, with a warning;
    one that does not raises NoBridgeError. Raises what the work raised on the bridge.
    """
    work = _work.get()
    if bridge.bridge_session() is not None or work is None:
        return
    from onedr.model import template

    turn = next((int(word) for word in work.argv if word.isdecimal()), 0)  # as in stock: the object's id
    hosts = bridge.hosts(template.get(attributes, "BRIDGE_LIST"), turn)
    if not hosts:
        return
    # 20 ms to load, for datastores with bridges only
    from onedr.driver.bridge_services import VERBS_ENTRY, Services

    if work.entry == VERBS_ENTRY:
        from onedr.host import siem  # loads logging

        siem.attach()  # runs end there, and their entries of the history are sent from here
    try:
        services = Services(work, attributes, more or {})
        answer = bridge.run_on_bridge(hosts, services.hidden(work), services.all)
    except NoBridgeError as error:
        _must_reach_ceph(attributes, error)
        log.warn_oned(f"{error} Done from the front-end.")
        return
    raise HandedOver(answer)


def _must_reach_ceph(attributes: Pairs, error: NoBridgeError) -> None:
    from onedr.ceph import connection
    from onedr.opennebula.ceph_access import ceph_access

    try:
        with connection.connect(ceph_access(attributes), _HERE_LIMIT_S, _HERE_LIMIT_S):
            return
    except OneDRError as own:
        raise NoBridgeError(f"{error} The front-end does not reach it either: {own}") from own
