"""Where the work of this process belongs: here, or on a bridge host of the datastore (BRIDGE_LIST)."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import astuple, replace
from typing import Any

from onedr.ceph import connection
from onedr.host import bridge, log
from onedr.host.bridge import NoBridgeError, Service, Work
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import keeper_lock
from onedr.replication import encryption

_HERE_LIMIT_S = 5
# What this process was started for. Set at its entry, so that the work can be handed over from wherever the
# datastore becomes known.
_work: ContextVar[Work | None] = ContextVar("onedr_work", default=None)


class HandedOver(Exception):
    """The work was done on a bridge host; `answer` is its result. Only the process's entry catches it
    (docs/bridges.md).
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

    When no bridge can begin, a front-end that reaches the Ceph cluster itself does the work, with a warning;
    one that does not raises NoBridgeError. Raises what the work raised on the bridge.
    """
    work = _work.get()
    if bridge.bridge_session() is not None or work is None:
        return
    turn = next((int(word) for word in work.argv if word.isdecimal()), 0)  # as in stock: the object's id
    hosts = bridge.hosts(template.get(attributes, "BRIDGE_LIST"), turn)
    if not hosts:
        return
    try:
        answer = bridge.run_on_bridge(hosts, work, {**_services(), **(more or {})})
    except NoBridgeError as error:
        _must_reach_ceph(attributes, error)
        log.warn_oned(f"{error} Done from the front-end.")
        return
    raise HandedOver(answer)


def _must_reach_ceph(attributes: Pairs, error: NoBridgeError) -> None:
    try:
        with connection.connect(ceph_access(attributes), _HERE_LIMIT_S, _HERE_LIMIT_S):
            return
    except OneDRError as own:
        raise NoBridgeError(f"{error} The front-end does not reach it either: {own}") from own


def _api(call: dict[str, Any]) -> tuple[Any, bytes]:
    return FrontEnd(limit_s=call["limit_s"]).call(call["method"], *call["arguments"]), b""


def _wake(call: dict[str, Any]) -> tuple[Any, bytes]:
    keeper_lock.wake_keeper(int(call["datastore_id"]), bool(call["changed"]))
    return None, b""


def _news(call: dict[str, Any]) -> tuple[Any, bytes]:
    return keeper_lock.has_news(int(call["datastore_id"]), bool(call["peek"])), b""


def _reminded(call: dict[str, Any]) -> tuple[Any, bytes]:
    return keeper_lock.is_reminded(int(call["datastore_id"]), bool(call["peek"])), b""


def _pausing() -> dict[str, Service]:
    """The keeper's pause, which lasts from one call of the bridge to another, or until this process ends."""
    pauses: dict[int, keeper_lock.KeeperPause] = {}

    def hold(call: dict[str, Any]) -> tuple[Any, bytes]:
        number = int(call["datastore_id"])
        return pauses.setdefault(number, keeper_lock.KeeperPause(number)).take(), b""

    def let_go(call: dict[str, Any]) -> tuple[Any, bytes]:
        pause = pauses.pop(int(call["datastore_id"]), None)
        if pause is not None:
            pause.release()
        return None, b""

    return {"hold": hold, "let_go": let_go}


def _record_key(_: dict[str, Any]) -> tuple[Any, bytes]:
    key = encryption.load_key(front_end_paths().record_key)
    return key is not None, key or b""


def _configuration(_: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.host import config as host_config  # drivers never need it: 3 ms to load

    # a fence command is run on the front-end or not at all
    return astuple(replace(host_config.load_config(), fence_command=())), b""


def _keep_drill(call: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.drill import report as drill_report  # drivers never need it

    kept = drill_report.save_report(int(call["datastore_id"]), str(call["tag"]), call["report"])
    return [str(kept.json), str(kept.html), kept.digest], b""


def _amend_drill(call: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.drill import report as drill_report

    kept = drill_report.amend(int(call["datastore_id"]), call["tags"], call["cleanup"])
    return ([str(kept.json), str(kept.html), kept.digest] if kept else None), b""


def _services() -> dict[str, Service]:
    """What a bridge host may ask of the front-end."""
    return {
        "api": _api, "wake": _wake, "news": _news, "reminded": _reminded, "record_key": _record_key,
        "configuration": _configuration, "keep_drill": _keep_drill, "amend_drill": _amend_drill, **_pausing(),
    }
