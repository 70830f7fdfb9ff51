"""The source of an image's data: a local file, http(s), or what OpenNebula's downloader fetches.

It is checked before any byte reaches Ceph.
"""
from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lxml import etree

from onedr.driver import download, unpack
from onedr.host import process, temp_dirs
from onedr.host.paths import front_end_paths
from onedr.model import parsing, template
from onedr.model.errors import InputError
from onedr.model.template import Pairs
from onedr.opennebula.ceph_access import defaults

_HTTP = ("http://", "https://")
_FETCH_LIMIT_S = 4 * 3600
# Schemes of downloader.sh, 6.10 to 7.4. The rest must not start with a dash (an option of ssh) nor contain
# shell characters; where the downloader quotes the address, a query may follow.
_FETCHED = re.compile(
    r"(?:s3|netapp|purefa|onebex|ssh|(?:restic|rsync)(?:\+rbd)?)://[A-Za-z0-9_.@/][A-Za-z0-9_.@/:,+=%-]*"
    r"|(?:rbd|lxd)://[A-Za-z0-9_.@/][A-Za-z0-9_.@/:,+=%&?~-]*"
)


def is_http(path: str) -> bool:
    """Is PATH an http(s) address?"""
    return path.startswith(_HTTP)


def needs_downloader(path: str) -> bool:
    """Is PATH for OpenNebula's downloader?

    Only plain characters are accepted, because it builds shell words from an address.
    """
    return _FETCHED.fullmatch(path) is not None


def check_allowed(path: str, attributes: Pairs) -> None:
    """Raise InputError for a local path below a restricted directory and not below a safe one.

    As in the stock driver, OpenNebula's own folders and oneadmin's home are always restricted, and SAFE_DIRS
    has precedence. Links are resolved first, and whole path components are compared (the stock driver
    compares text).
    """
    real = os.path.realpath(path)
    own = [str(front_end_paths().var), str(front_end_paths().etc), os.path.expanduser("~")]
    restricted = [*own, *template.get(attributes, "RESTRICTED_DIRS").split()]
    if any(_below(real, folder) for folder in template.get(attributes, "SAFE_DIRS").split()):
        return
    for folder in restricted:
        if _below(real, folder):
            raise InputError(
                f"Not allowed to copy image file {path}: it is in the restricted directory {folder}."
            )


def _below(path: str, folder: str) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([path, real]) == real


def image_path(image: etree._Element) -> str:
    """IMAGE/PATH. Raises InputError when it is missing."""
    path = image.findtext("PATH") or ""
    if not path:
        raise InputError("The image has no PATH to copy from.")
    if not (is_http(path) or needs_downloader(path) or path.startswith("/")):
        raise InputError(
            f"PATH {path!r} is neither a local file nor an http(s) address, nor one that OpenNebula's "
            "downloader accepts."
        )
    return path


def staging_folder(attributes: Pairs) -> Path:
    """The folder for downloads and conversions: STAGING_DIR, else the stock default."""
    folder = Path(template.get(attributes, "STAGING_DIR") or defaults().get("STAGING_DIR", "") or "/var/tmp")
    if not os.path.isdir(folder):  # also for an invalid name
        raise InputError(f"STAGING_DIR {folder} is not a directory on this machine.")
    return folder


@contextmanager
def raw_file(image: etree._Element, attributes: Pairs) -> Iterator[Path]:
    """The image's data as a raw local file: fetched, MD5/SHA1 verified, unpacked when needed.

    Removed afterwards.
    """
    path = image_path(image)
    with temp_dirs.temp_folder(staging_folder(attributes)) as folder:
        local = _local(path, folder, image, attributes)
        verify(local, image)
        yield unpack.raw(local, download.shown(path), folder, _inflates(attributes), _told(image))


def _told(image: etree._Element) -> int | None:
    """MiB that oned counted for the image, by `stat` or from its SIZE: what quotas were charged for."""
    return parsing.integer(image, "SIZE") if image.findtext("SIZE") else None


def _local(path: str, folder: Path, image: etree._Element, attributes: Pairs) -> Path:
    if is_http(path):
        download.fetch(path, folder / "download", template.get(attributes, "LIMIT_TRANSFER_BW"))
    elif needs_downloader(path):
        secrets = {}
        if path.startswith("s3://"):  # the downloader reads the marketplace's key from the driver data
            secrets["DRV_ACTION"] = base64.b64encode(etree.tostring(image.getroottree())).decode()
        fetch(path, folder / "download", template.get(attributes, "LIMIT_TRANSFER_BW"), secrets)
    else:
        check_allowed(path, attributes)
        _must_be_readable(Path(path))
        return Path(path)
    return folder / "download"


def fetch(url: str, to: Path, limit_bw: str = "", secrets: Mapping[str, str] | None = None) -> None:
    """Let OpenNebula's downloader fetch a backup or a marketplace image to a file, unmodified.

    Raises InputError for an address that could become a shell word (the downloader builds commands from it),
    ProcessError.
    """
    if not needs_downloader(url):
        raise InputError(f"{url!r} is not an address that OneDR passes to OpenNebula's downloader.")
    program = front_end_paths().remotes / "datastore" / "downloader.sh"
    if not program.is_file():
        raise InputError(f"{url} needs OpenNebula's downloader, but there is no {program}.")
    limit = ["--limit", limit_bw] if limit_bw else []
    # timeout(1) also ends the downloader's child processes, which would keep its output open and block us.
    command = ["timeout", "-k", "10", str(_FETCH_LIMIT_S), str(program), "--nodecomp", *limit, url, str(to)]
    process.run_program(command, _FETCH_LIMIT_S + 60, env={**os.environ, **(secrets or {})})
    if not to.is_file():
        raise InputError(f"OpenNebula's downloader fetched no file from {url}.")


def _inflates(attributes: Pairs) -> bool:
    return template.get(attributes, "NO_DECOMPRESS").lower() != "yes"


def _must_be_readable(path: Path) -> None:
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long
        raise InputError(f"cannot access {str(path)[:100]!r} ({error.strerror})") from error
    if not is_file:
        raise InputError(f"cannot access {str(path)!r} (no such file)")
    if not os.access(path, os.R_OK):
        raise InputError(f"cannot access {str(path)!r} (permission denied)")


def verify(path: Path, image: etree._Element) -> None:
    """Compare with the image's MD5 and SHA1 attributes. Raises InputError when one differs."""
    for algorithm in ("md5", "sha1"):
        wanted = image.findtext(f"TEMPLATE/{algorithm.upper()}")
        if not wanted:
            continue
        found = _digest(path, algorithm)
        if found != wanted.strip().lower():
            raise InputError(
                f"{algorithm.upper()} checksum of {download.shown(image.findtext('PATH') or '')} is {found}, "
                f"expected {wanted}."
            )


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(unpack.CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def virtual_size(image: etree._Element, attributes: Pairs) -> int:
    """The size of the image in bytes; for http(s) from the start of the file and Content-Length."""
    path = image_path(image)
    # as in the stock driver: such addresses come from marketplaces and backups with a SIZE
    if needs_downloader(path):
        raise InputError(
            f"The size of {path} is unknown before it is fetched; import it from a marketplace or a backup."
        )
    with temp_dirs.temp_folder(staging_folder(attributes)) as folder:
        if not is_http(path):
            check_allowed(path, attributes)
            _must_be_readable(Path(path))
            return unpack.virtual_size(Path(path), path, folder, _inflates(attributes)) or 0
        length = download.fetch_head(path, folder / "head")
        unpack.stretch(folder / "head", length)
        source = download.shown(path)
        size = unpack.virtual_size(folder / "head", source, folder, _inflates(attributes), whole=False)
        if size is not None:
            return size
        if unpack.is_compressed(folder / "head", _inflates(attributes)):
            raise InputError(
                f"{source} is compressed and does not contain its size; decompress it, or use a qcow2 image."
            )
    if length is None:
        raise InputError(
            f"{source} has no known size (no Content-Length); set SIZE when creating the image."
        )
    return length
