"""Where the work of this process belongs: here, or on a bridge host of the datastore (BRIDGE_LIST)."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from onedr.ceph import connection
from onedr.host import bridge
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
_asked: Work | None = None


class HandedOver(Exception):
    """The work was done on a bridge host; `answer` is its result."""

    def __init__(self, answer: str):
        super().__init__(answer)
        self.answer = answer


def asked(entry: str, argv: list[str]) -> None:
    """Remember what this process was asked for, so that it can be handed over."""
    global _asked
    _asked = Work(entry, tuple(argv))


def read_stdin() -> bytes:
    """All of standard input; remembered likewise."""
    global _asked
    data = sys.stdin.buffer.read()
    if _asked is not None:
        _asked = Work(_asked.entry, _asked.argv, data)
    return data


def is_bridged(bridge_list: str) -> bool:
    """Does the work of a datastore with this BRIDGE_LIST belong on another host?"""
    return bridge.bridge_session() is None and bool(bridge.hosts(bridge_list, 0))


def unless_here(attributes: Pairs, more: Mapping[str, Service] | None = None) -> None:
    """Go on when the datastore's work belongs to this machine; else do it on a bridge and raise HandedOver.

    When no bridge can begin, a front-end that reaches the Ceph cluster itself goes on, with a warning. Raises
    NoBridgeError else, and what the work raised there.
    """
    if bridge.bridge_session() is not None or _asked is None:
        return
    turn = next((int(word) for word in _asked.argv if word.isdecimal()), 0)  # as in stock: the object's id
    hosts = bridge.hosts(template.get(attributes, "BRIDGE_LIST"), turn)
    if not hosts:
        return
    try:
        answer = bridge.run_on_bridge(hosts, _asked, {**_SERVICES, **(more or {})})
    except NoBridgeError as error:
        _must_reach_ceph(attributes, error)
        print(f"WARN: {error} Done from the front-end.", file=sys.stderr)
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
    keeper_lock.wake_keeper(int(call["datastore_id"]))
    return None, b""


def _news(call: dict[str, Any]) -> tuple[Any, bytes]:
    return keeper_lock.has_news(int(call["datastore_id"]), bool(call["peek"])), b""


def _hold(call: dict[str, Any]) -> tuple[Any, bytes]:
    return keeper_lock.pause_keeper(int(call["datastore_id"])), b""


def _let_go(call: dict[str, Any]) -> tuple[Any, bytes]:
    keeper_lock.resume_keeper(int(call["datastore_id"]))
    return None, b""


def _record_key(_: dict[str, Any]) -> tuple[Any, bytes]:
    key = encryption.load_key(front_end_paths().record_key)
    return key is not None, key or b""


def _configuration(_: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.host import config as host_config  # drivers never need it: 3 ms to load

    return astuple(host_config.load_config()), b""


def _keep_drill(call: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.drill import report as drill_report  # drivers never need it

    kept = drill_report.save_report(int(call["datastore_id"]), str(call["tag"]), call["report"])
    return [str(kept.json), str(kept.html), kept.digest], b""


def _amend_drill(call: dict[str, Any]) -> tuple[Any, bytes]:
    from onedr.drill import report as drill_report

    kept = drill_report.amend(int(call["datastore_id"]), call["tags"], call["cleanup"])
    return ([str(kept.json), str(kept.html), kept.digest] if kept else None), b""


_SERVICES: Mapping[str, Service] = {
    "api": _api, "wake": _wake, "news": _news, "hold": _hold, "let_go": _let_go, "record_key": _record_key,
    "configuration": _configuration, "keep_drill": _keep_drill, "amend_drill": _amend_drill,
}
