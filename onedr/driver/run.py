"""The border to oned: run one action, answer on stdout, or one plain line on stderr and exit code 1."""
from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from onedr.ceph.failures import ceph_errors
from onedr.driver import bridge_dispatch
from onedr.driver.bridge_dispatch import HandedOver
from onedr.host import log
from onedr.model.errors import OneDRError, plain

Action = Callable[[list[str]], str]
BRIEF_S = 900.0  # for actions that move no data: more than all their own waits together


def run_driver(action: Action, limit_s: float | None = None) -> NoReturn:
    """Run `action` with the process's arguments and end the process the way oned expects.

    After `limit_s` seconds it is given up: librbd 16.2 has been seen to hang while it opens an image
    (docs/measured.md).

    Unexpected errors end here too: the user gets one line, oned.log and OneDR's own log the traceback (oned
    writes lines `DEBUG: ` to its log only). SIGTERM ends the action as an error does: nothing half-made
    is left.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    if limit_s is not None:
        _give_up_after(limit_s)
    log.bind(verb=action.__name__)
    bridge_dispatch.begin(f"{action.__module__}:{action.__name__}", sys.argv[1:])
    try:
        answer = action(sys.argv[1:])
    except HandedOver as done:
        answer = done.answer
    except OneDRError as error:
        _fail(str(error))
    except ceph_errors() as error:
        _fail(f"Ceph: {error}")
    except Exception as error:  # noqa: BLE001 the process ends here
        import traceback

        for line in traceback.format_exc().splitlines():
            print(f"DEBUG: {line}", file=sys.stderr)
        log.exception("OneDR failed unexpectedly")
        _fail(f"OneDR failed unexpectedly ({type(error).__name__}: {error}); the traceback is in oned.log.")
    if answer:
        print(answer)
    _end(0)


def _give_up_after(limit_s: float) -> None:
    watch = threading.Timer(
        limit_s,
        _fail,
        [
            f"A Ceph call did not return within {limit_s:g} s; the action was cancelled. Check ceph -s and "
            "retry: partial work is resumed or removed."
        ],
    )
    watch.daemon = True
    watch.start()


def _on_sigterm(*_: object) -> NoReturn:
    raise OneDRError("Terminated by SIGTERM; partial changes were rolled back.")


def _fail(message: str) -> NoReturn:
    print(plain(message), file=sys.stderr)
    log.error(f"{' '.join(sys.argv[1:])}: {plain(message)}")
    _end(1)


def _end(code: int) -> NoReturn:
    """What was opened is closed by now; taking down the interpreter and
    Ceph's libraries would cost oned 10 ms more.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
