"""OneDR's log: to journald or syslog as `onedr`, and to a rotated file. See docs/log.md.

Every line has one form: time (UTC), level, run, datastore, verb, text. Drivers that have nothing to log never
load `logging`, which costs them 10 ms. Secrets are never logged: no request's confirmation, no template.
"""
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from onedr.host.paths import front_end_paths

if TYPE_CHECKING:
    import logging

SYSLOG = "/dev/log"
NAME = "onedr"  # of the logger and its handlers
HISTORY = "history"  # of the logger below it (host/siem.py)
SIZE, FILES = 5 << 20, 5  # bytes of a file before it is rotated, and how many old ones stay
Record = Mapping[str, Any]
NO_FIELDS: Mapping[str, str] = {}


class Context(NamedTuple):
    """What a line is about; a dash where it is about nothing in particular."""

    run: str = "-"
    datastore: str = "-"
    verb: str = "-"


_context: ContextVar[Context] = ContextVar("onedr_log", default=Context())  # noqa: B039 it is immutable
# On a bridge host: how a record gets to the front-end that asked for the work.
_relay: ContextVar[Callable[[Record], None] | None] = ContextVar("onedr_log_relay", default=None)


def bind(**names: str) -> None:
    """From now on this thread, and those it starts by `onedr.host.threads`,
    log with this run, datastore or verb.
    """
    _context.set(_context.get()._replace(**names))


def is_relayed() -> bool:
    """Does another machine write what is logged here?"""
    return _relay.get() is not None


def relay_to(send: Callable[[Record], None]) -> None:
    """On a bridge host: records go to `send` instead of this machine's log."""
    _relay.set(send)


def path() -> Path:
    """The log file of this front-end."""
    return front_end_paths().log


def info(text: str) -> None:
    """What is worth knowing afterwards."""
    _log("INFO", text)


def history(text: str, good: bool, **fields: str) -> None:
    """A line, and an entry of the history (host/siem.py). `fields`: siem.FIELDS; the datastore is the bound
    one where none is given.
    """
    datastore = fields.get("datastore") or _context.get().datastore
    _log("INFO" if good else "WARNING", text, {**fields, "datastore": datastore})


def warning(text: str) -> None:
    """Something a person should look at when there is time."""
    _log("WARNING", text)


def error(text: str) -> None:
    """Something failed."""
    _log("ERROR", text)


def exception(text: str) -> None:
    """An unexpected error, with the traceback of the exception being handled. Where no log can be written, it
    goes to standard error in lines that oned writes to its own log only.
    """
    import traceback

    trace = traceback.format_exc()
    _log("ERROR", f"{text}\n{trace}")
    if _relay.get() is None and not os.access(path().parent, os.W_OK) and not os.path.exists(SYSLOG):
        for line in trace.splitlines():
            print(f"DEBUG: {line}", file=sys.stderr)


def warn_oned(text: str) -> None:
    """A warning for oned's own log too, or for the person who typed the command."""
    print(f"WARN: {text}", file=sys.stderr)
    warning(text)


def replay(record: Record) -> None:
    """Log what a bridge host sent. Unknown levels count as errors."""
    level = record["level"] if record["level"] in ("INFO", "WARNING") else "ERROR"
    fields = {str(name): str(value) for name, value in dict(record.get("fields") or {}).items()}
    _write(level, str(record["text"]), Context(*map(str, record["context"])), fields)


def catch_all() -> None:
    """An error that nothing else catches is logged, in any thread, then handled as ever."""
    own, own_thread = sys.excepthook, threading.excepthook

    def lost(kind: type[BaseException], found: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            _log("ERROR", f"unexpected {kind.__name__}\n{_text(found)}")
        own(kind, found, trace)

    def lost_in_thread(what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None:
            _log("ERROR", f"unexpected {what.exc_type.__name__} in a thread\n{_text(what.exc_value)}")
        own_thread(what)

    sys.excepthook, threading.excepthook = lost, lost_in_thread


def _text(found: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(type(found), found, found.__traceback__))


def _log(level: str, text: str, fields: Mapping[str, str] = NO_FIELDS) -> None:
    send, context = _relay.get(), _context.get()
    if send is not None:
        send({"level": level, "text": text, "context": list(context), "fields": dict(fields)})
    else:
        _write(level, text, context, fields)


def _write(level: str, text: str, context: Context, fields: Mapping[str, str]) -> None:
    import logging

    logger = logging.getLogger(NAME)
    if not any(handler.name == NAME for handler in logger.handlers):
        _set_up(logger)
    if fields:
        logger = logger.getChild(HISTORY)  # what it logs goes to the handlers of `logger` as well
    logger.log(getattr(logging, level), "%s", text, extra={"onedr": context, "siem": fields})


def _set_up(logger: logging.Logger) -> None:
    from onedr.host import log_handlers

    logger.propagate = False
    logger.setLevel("INFO")
    for handler in log_handlers.handlers(path(), SYSLOG, SIZE, FILES):
        handler.set_name(NAME)
        logger.addHandler(handler)
