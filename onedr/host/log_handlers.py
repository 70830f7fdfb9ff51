"""Where log records go: a file that many processes write, and syslog. Loaded with the first record."""
from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from logging.handlers import RotatingFileHandler, SysLogHandler
from pathlib import Path

from onedr.host import trusted_folder

MODE = 0o640
SYSTEM = Path("/var/log/one")


class LineFormatter(logging.Formatter):
    """Every line of a record, those of a traceback too: time, level, run, datastore, verb, text."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        run, datastore, verb = getattr(record, "onedr", ("-", "-", "-"))
        about = f"run={_word(run)} ds={_word(datastore)} verb={_word(verb)}"
        head = f"{at}.{int(record.msecs):03}Z {record.levelname} {about}"
        lines = record.getMessage().splitlines() or [""]
        return "\n".join(f"{head} {_printable(line)}" for line in lines)


def _word(text: str) -> str:
    """A name of a user's choice as one word."""
    return _printable(text).replace(" ", "_") or "-"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class SharedFile(RotatingFileHandler):
    """Many processes write the file: each record is written, and the file rotated, under a lock,
    and the file is closed after it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """A log that cannot be written fails no action; syslog has the record too."""
        with suppress(OSError):
            number = trusted_folder.append_to(Path(f"{self.baseFilename}.lock"), MODE)
            with os.fdopen(number, "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                super().emit(record)
                self.close()

    def _open(self):  # type: ignore[no-untyped-def] # as in logging: a text stream
        number = trusted_folder.append_to(Path(self.baseFilename), MODE)
        return os.fdopen(number, self.mode, encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing of it may appear among what a driver tells oned."""


class Syslog(SysLogHandler):
    """journald, or another syslog daemon, under the name `onedr`."""

    ident = "onedr: "

    def handleError(self, record: logging.LogRecord) -> None:
        """As in SharedFile."""


def _is_roots_alone(folder: Path) -> bool:
    try:
        return trusted_folder.is_roots_alone(folder)
    except OSError:  # it could not be made: nothing is written either
        return False


def handlers(path: Path, syslog: str, size: int, files: int) -> Iterator[logging.Handler]:
    """The file, and syslog where it listens. `size`: bytes of a file before it is rotated."""
    formatter = LineFormatter()
    if path.parent != SYSTEM:  # which OpenNebula's packages make, with its owner
        with suppress(OSError):
            trusted_folder.make_folders(path.parent)
    made: list[logging.Handler] = []
    # logging renames by path: in a folder of the front-end's user rotating is left to that user
    rotates = not trusted_folder.is_root() or _is_roots_alone(path.parent)
    made.append(SharedFile(path, maxBytes=size * rotates, backupCount=files, encoding="utf-8", delay=True))
    if os.path.exists(syslog):
        with suppress(OSError):
            made.append(Syslog(syslog))
    for handler in made:
        handler.setFormatter(formatter)
        yield handler
