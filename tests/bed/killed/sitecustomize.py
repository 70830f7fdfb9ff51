"""Comes into a driver under test by PYTHONPATH: counts the calls that change something in Ceph, and ends the process after one.

CALLS_KILL_AFTER=n: SIGKILL after the n-th (0: before the first); CALLS_LOG=file: one line a call.
ASKED_KILL_BEFORE=n, ASKED_KILL_AFTER=n, ASKED_LOG=file: the same of what it asks oned to change and notes in omaps, counted
from 1.
"""
from __future__ import annotations

import os
import signal
import threading
from typing import Any, Callable

import rados
import rbd

CHANGES = {
    "create", "clone", "copy", "remove", "rename", "metadata_set", "metadata_remove", "create_snap", "remove_snap",
    "protect_snap", "unprotect_snap", "resize", "flatten", "write", "aio_write", "discard", "aio_discard", "write_zeroes",
    "rollback_to_snap", "mirror_image_enable", "mirror_image_disable", "mirror_image_create_snapshot", "trash_move",
    "update_features",
}
_KILL_AFTER = os.environ.get("CALLS_KILL_AFTER")
_LOG = os.environ.get("CALLS_LOG")
_lock = threading.Lock()
_count = 0


def _end_when(count: int) -> None:
    if _KILL_AFTER is not None and count >= int(_KILL_AFTER):
        os.kill(os.getpid(), signal.SIGKILL)


def _counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **more: Any) -> Any:
        global _count
        with _lock:
            _end_when(_count)
            answer = call(*arguments, **more)
            _count += 1
            if _LOG:
                with open(_LOG, "a") as log:
                    print(name, *arguments[:2], file=log)
            _end_when(_count)
        return answer

    return counted


def _watched(original: Any) -> Any:
    class Watched(original):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            return _counted(f"{original.__name__}.{name}", found) if name in CHANGES else found

    return Watched


if _KILL_AFTER is not None or _LOG:
    rbd.Image, rbd.RBD = _watched(rbd.Image), _watched(rbd.RBD)
    assert rados

_BEFORE, _AFTER = (int(os.environ.get(f"ASKED_KILL_{when}", "0")) for when in ("BEFORE", "AFTER"))
_ASKED_LOG = os.environ.get("ASKED_LOG")
_READS = (".info", ".infoextended", ".version", ".config")
_asked = 0


def _numbered(call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    def numbered(*arguments: Any, **more: Any) -> Any:
        global _asked
        called = name(*arguments)
        if called.endswith(_READS):
            return call(*arguments, **more)
        with _lock:
            _asked += 1
            mine = _asked
            if _ASKED_LOG:
                with open(_ASKED_LOG, "a") as log:
                    print(called, file=log)
        if mine == _BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = call(*arguments, **more)
        if mine == _AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return numbered


if _BEFORE or _AFTER or _ASKED_LOG:
    from onedr.ceph import omap
    from onedr.opennebula import xmlrpc

    xmlrpc.call = _numbered(xmlrpc.call, lambda url, method, *_: str(method))
    omap.write_keys = _numbered(omap.write_keys, lambda _, name, *__: f"write {name}")
    omap.drop_keys = _numbered(omap.drop_keys, lambda _, name, *__: f"drop {name}")
