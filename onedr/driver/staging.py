"""Where an image's data comes from: a local file or http(s), checked before a byte reaches Ceph."""
from __future__ import annotations

import hashlib
import http.client
import json
import os
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lxml import etree

from onedr import template
from onedr.errors import InputError
from onedr.ports import process
from onedr.ports.access import defaults
from onedr.ports.places import places
from onedr.template import Pairs

CHUNK = 4 * 1024 * 1024
_HTTP = ("http://", "https://")
_HTTP_LIMIT_S = 60
_HTTP_ERRORS = (OSError, http.client.HTTPException, ValueError)  # URLError is an OSError; ValueError: a garbled address
_CONVERT_LIMIT_S = 4 * 3600
_HEAD = 1024 * 1024  # enough for qemu-img to know a format and its virtual size


def is_http(path: str) -> bool:
    """Is PATH to be fetched?"""
    return path.startswith(_HTTP)


def check_allowed(path: str, attributes: Pairs) -> None:
    """Raise InputError for a local path below a restricted directory and not below a safe one.

    As the stock driver: OpenNebula's own folders and oneadmin's home are always restricted, SAFE_DIRS wins. Links
    are resolved first, and whole path components are compared (stock compares text).
    """
    real = os.path.realpath(path)
    own = [str(places().var), str(places().etc), os.path.expanduser("~")]
    restricted = [*own, *template.get(attributes, "RESTRICTED_DIRS").split()]
    if any(_below(real, folder) for folder in template.get(attributes, "SAFE_DIRS").split()):
        return
    for folder in restricted:
        if _below(real, folder):
            raise InputError(f"Not allowed to copy image file {path}: it lies in the restricted directory {folder}.")


def _below(path: str, folder: str) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([path, real]) == real


def image_path(image: etree._Element) -> str:
    """IMAGE/PATH. Raises InputError when it is missing."""
    path = image.findtext("PATH") or ""
    if not path:
        raise InputError("The image has no PATH to copy from.")
    if not is_http(path) and not path.startswith("/"):
        raise InputError(f"PATH {path!r} is neither a local file nor an http(s) address; OneDR copies from these only.")
    return path


def staging_folder(attributes: Pairs) -> Path:
    """Where downloads and conversions lie while they last: STAGING_DIR, else the stock default."""
    folder = Path(template.get(attributes, "STAGING_DIR") or defaults().get("STAGING_DIR", "") or "/var/tmp")
    if not folder.is_dir():
        raise InputError(f"STAGING_DIR {folder} is not a directory on this machine.")
    return folder


@contextmanager
def raw_file(image: etree._Element, attributes: Pairs) -> Iterator[Path]:
    """The image's data as a raw local file: fetched, MD5/SHA1 verified, converted when needed. Removed afterwards."""
    path = image_path(image)
    with tempfile.TemporaryDirectory(prefix="onedr-", dir=staging_folder(attributes)) as folder:
        if is_http(path):
            local = Path(folder) / "download"
            _download(path, local)
        else:
            check_allowed(path, attributes)
            local = Path(path)
            _must_be_readable(local)
        verify(local, image)
        format_, _ = probe(local, path)
        if format_ not in ("raw", "luks"):
            converted = Path(folder) / "raw"
            command = ["qemu-img", "convert", "-f", format_, "-O", "raw", str(local), str(converted)]
            process.run(command, _CONVERT_LIMIT_S)
            local = converted
        yield local


def _must_be_readable(path: Path) -> None:
    try:
        is_file = path.is_file()
    except OSError as error:  # a name longer than any file's
        raise InputError(f"cannot access {str(path)[:100]!r} ({error.strerror})") from error
    if not is_file:
        raise InputError(f"cannot access {str(path)!r} (no such file)")
    if not os.access(path, os.R_OK):
        raise InputError(f"cannot access {str(path)!r} (permission denied)")


def _download(url: str, to: Path) -> None:
    try:
        with urllib.request.urlopen(_quoted(url), timeout=_HTTP_LIMIT_S) as answer, to.open("wb") as file:
            expected = _length(answer)
            while chunk := answer.read(CHUNK):
                file.write(chunk)
    except _HTTP_ERRORS as error:
        raise InputError(f"Cannot fetch {url}: {error}") from error
    if expected is not None and to.stat().st_size != expected:
        raise InputError(f"Fetching {url} ended early: {to.stat().st_size} of {expected} bytes.")


def _quoted(url: str) -> str:
    """Blanks and letters beyond ASCII escaped, as a browser does; what is escaped already stays."""
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def verify(path: Path, image: etree._Element) -> None:
    """Compare with the image's MD5 and SHA1 attributes. Raises InputError when one differs."""
    for algorithm in ("md5", "sha1"):
        wanted = image.findtext(f"TEMPLATE/{algorithm.upper()}")
        if not wanted:
            continue
        found = _digest(path, algorithm)
        if found != wanted.strip().lower():
            raise InputError(f"{algorithm.upper()} checksum of {image.findtext('PATH')} is {found}, expected {wanted}.")


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def probe(path: Path, source: str) -> tuple[str, int]:
    """(format, virtual size in bytes) by qemu-img of a file that came from `source`.

    Raises InputError for an image that points at other files (a backing file, data file or extent would pull in any
    file of the front-end), for an archive of increments, and for a file qemu-img cannot read.
    """
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise InputError(f"{source} is a gzip archive; OneDR takes raw and qcow2 images.")
    found = json.loads(process.run(["qemu-img", "info", "--output", "json", str(path)], _HTTP_LIMIT_S))
    extra = found.get("format-specific", {}).get("data", {})
    extents = {extent.get("filename") for extent in extra.get("extents", [])}  # of a VMDK; its own file is one
    if found.get("backing-filename") or extra.get("data-file") or extents - {str(path)}:
        raise InputError(
            f"{source} refers to other files (backing file, data file or extent); give a self-contained image."
        )
    return str(found["format"]), int(found["virtual-size"])


def virtual_size(image: etree._Element, attributes: Pairs) -> int:
    """Bytes the image will have; for http(s) from the head of the file and Content-Length."""
    path = image_path(image)
    if not is_http(path):
        check_allowed(path, attributes)
        _must_be_readable(Path(path))
        return probe(Path(path), path)[1]
    with tempfile.TemporaryDirectory(prefix="onedr-", dir=staging_folder(attributes)) as folder:
        head = Path(folder) / "head"
        length = _fetch_head(path, head)
        format_, size = probe(head, path)
    if format_ not in ("raw", "luks"):
        return size
    if length is None:
        raise InputError(f"{path} does not tell its size (no Content-Length); give SIZE when creating the image.")
    return length


def _fetch_head(url: str, to: Path) -> int | None:
    try:
        with urllib.request.urlopen(_quoted(url), timeout=_HTTP_LIMIT_S) as answer:
            to.write_bytes(answer.read(_HEAD))
            return _length(answer)
    except _HTTP_ERRORS as error:
        raise InputError(f"Cannot fetch {url}: {error}") from error


def _length(answer: http.client.HTTPResponse) -> int | None:
    text = answer.headers.get("Content-Length")
    return int(text) if text is not None else None
