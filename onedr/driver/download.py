"""Fetching http(s) addresses as OpenNebula's own downloader does (`curl -sS -L --fail --retry 3 --retry-delay
3 --limit-rate`): redirects, user and password in the address, three more attempts. Unlike it (`-k`),
certificates are checked.
"""
from __future__ import annotations

import base64
import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar, cast

from onedr.driver import unpack
from onedr.host import config as host_config
from onedr.host import threads
from onedr.model.errors import InputError
from onedr.model.types import MIB

_T = TypeVar("_T")
_SILENCE_S = 60
_HEAD_LIMIT_S = 60  # of a whole stat, as stock: oned has 15 slots for all drivers
_LIMIT_S = 4 * 3600
_SLOW_LIMIT_S = 24 * 3600  # where LIMIT_TRANSFER_BW makes it slow
_ATTEMPTS, _PAUSE_S, _LONGEST_PAUSE_S = 4, 3.0, 60.0
_PASSING = {408, 429, 500, 502, 503, 504}  # what curl calls transient
# URLError is an OSError; ValueError: a garbled address
_ERRORS = (OSError, http.client.HTTPException, ValueError)
_RATE = re.compile(r"([0-9]{1,12})([kmgtp]?)", re.IGNORECASE)
_VHDX, _VHDX_HEAD = b"vhdxfile", 4 * MIB  # its size is said behind a log of 1 MiB
_SECTION, _CA = "downloads", "ca"  # of onedr.conf


def fetch(url: str, to: Path, limit_bw: str = "") -> None:
    """Fetch a whole file. `limit_bw`: bytes per second as LIMIT_TRANSFER_BW says, such as `10M`; empty: none.

    Raises InputError, also when it does not fit beside `to`.
    """
    per_second = rate(limit_bw)
    limit_s = _SLOW_LIMIT_S if per_second else _LIMIT_S
    end = time.monotonic() + limit_s

    def fetch_all() -> None:
        with _open(url) as answer, to.open("wb") as file:
            expected, free = _length(answer), unpack.room(to.parent)
            _must_fit(url, expected or 0, free)
            began, step = time.monotonic(), min(unpack.CHUNK, per_second or unpack.CHUNK)
            while chunk := answer.read1(step):
                file.write(chunk)
                _must_fit(url, file.tell(), free)
                if time.monotonic() > end:  # this thread ends too
                    raise _too_late(url, limit_s)
                if per_second:
                    time.sleep(max(0.0, began + file.tell() / per_second - time.monotonic()))
            if expected is not None and file.tell() != expected:
                raise http.client.IncompleteRead(b"", expected - file.tell())

    _within(limit_s, url, fetch_all)


def fetch_head(url: str, to: Path) -> int | None:
    """Fetch what qemu-img needs of a file to tell its format and size. Returns the length of the whole file
    in bytes; None where the server does not say. Raises InputError.
    """
    def fetch_some() -> int | None:
        with _open(url) as answer:
            head = answer.read(unpack.HEAD)
            if head.startswith(_VHDX):
                head += answer.read(_VHDX_HEAD - len(head))
            to.write_bytes(head)
            return _length(answer)

    return _within(_HEAD_LIMIT_S, url, fetch_some)


def shown(url: str) -> str:
    """The address without its password."""
    return re.sub(r"^(https?://)[^/?#]*@", r"\1…@", url)


def rate(text: str) -> int | None:
    """Bytes per second of a LIMIT_TRANSFER_BW; None without one. As curl: k, M, G … are powers of 1024.

    Raises InputError.
    """
    found = _RATE.fullmatch(text.strip())
    if found and int(found[1]):
        return int(found[1]) * int(1024 ** (" kmgtp".index(found[2].lower()) if found[2] else 0))
    if text.strip():
        raise InputError(f"LIMIT_TRANSFER_BW is {text!r}, not bytes per second such as 500k or 10M.")
    return None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A password goes to the server that it was given for, and to no other."""

    def redirect_request(self, req: urllib.request.Request, *told: Any) -> urllib.request.Request | None:
        request = super().redirect_request(req, *told)
        secret = req.get_header("Authorization")
        if request is not None and secret and _server(request.full_url) == _server(req.full_url):
            request.add_unredirected_header("Authorization", secret)
        return request


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _open(url: str) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(_quoted(url))
    user, at, server = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=server)))
    if at:
        secret = urllib.parse.unquote_to_bytes(user if ":" in user else f"{user}:")
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
    handlers: list[urllib.request.BaseHandler] = [_Redirects()]
    if parts.scheme == "https" or host_config.section(_SECTION).get(_CA):
        handlers.append(urllib.request.HTTPSHandler(context=_trusted()))
    opener = urllib.request.build_opener(*handlers)
    return cast(http.client.HTTPResponse, opener.open(request, timeout=_SILENCE_S))


def _trusted() -> ssl.SSLContext:
    """This machine's certificates, and those of `downloads.ca`. Raises InputError."""
    context = ssl.create_default_context()
    own = host_config.section(_SECTION).get(_CA, "")
    if own:
        try:
            context.load_verify_locations(own)
        except OSError as error:  # an ssl.SSLError is one
            raise InputError(
                f"{host_config.path()}: downloads.ca: {own} holds no certificates ({error})."
            ) from error
    return context


def _quoted(url: str) -> str:
    """Escape spaces and non-ASCII letters, as a browser does. Existing escapes are kept."""
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _must_fit(url: str, size: int, free: int) -> None:
    if size > free:
        raise InputError(
            f"{shown(url)} does not fit into the {free // MIB} MiB free in the staging folder; point "
            "STAGING_DIR to a larger place."
        )


def _within(limit_s: float, url: str, action: Callable[[], _T]) -> _T:
    """Do it, in `limit_s` seconds in all: a server that sends a byte now and then, in its head too, never
    exceeds the limit of a read. A thread that is too late ends with this process.

    Raises InputError.
    """
    done: Future[_T] = Future()

    def work() -> None:
        try:
            done.set_result(_repeated(action))
        except Exception as error:  # noqa: BLE001 the waiting thread raises it
            done.set_exception(error)

    threads.start(work)
    try:
        if not wait([done], limit_s).done:
            raise _too_late(url, limit_s)
        return done.result()
    except _ERRORS as error:
        raise InputError(f"Cannot fetch {shown(url)}: {_why(error)}") from error


def _repeated(action: Callable[[], _T]) -> _T:
    for left in range(_ATTEMPTS - 1, -1, -1):
        try:
            return action()
        except (OSError, http.client.HTTPException) as error:
            pause = _pause_after(error)
            if not left or pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt raises")


def _pause_after(error: OSError | http.client.HTTPException) -> float | None:
    """Seconds to wait before another attempt; None where none would help."""
    if isinstance(error, urllib.error.HTTPError):
        wanted = str(error.headers.get("Retry-After", ""))
        asked = float(wanted) if re.fullmatch("[0-9]{1,6}", wanted) else 0.0
        return min(max(_PAUSE_S, asked), _LONGEST_PAUSE_S) if error.code in _PASSING else None
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    passes = isinstance(reason, (ConnectionError, TimeoutError, http.client.IncompleteRead))
    return _PAUSE_S if passes else None


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted here ({reason.verify_message}). Add the authority that signed "
            f"it to this machine's certificates, or name its file as downloads.ca in {host_config.path()}."
        )
    if isinstance(error, http.client.IncompleteRead):
        return f"it ended early, {error.expected} bytes are missing"
    return str(error)


def _too_late(url: str, limit_s: float) -> InputError:
    return InputError(f"Fetching {shown(url)} did not end within {limit_s:g} s.")


def _length(answer: http.client.HTTPResponse) -> int | None:
    """What the server says; None where it says nothing. Raises ValueError for what is no length: oned would
    take a negative size off a quota.
    """
    text = answer.headers.get("Content-Length")
    if text is not None and not re.fullmatch("[0-9]{1,18}", text.strip()):
        raise ValueError(f"its Content-Length is {text[:40]!r}")
    return None if text is None else int(text)
