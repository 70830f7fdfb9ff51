"""Where an image's data may come from: allowed places, self-contained files, and bytes that are what they
say.
"""
from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lxml import etree

from onedr.driver import download, staging, unpack
from onedr.model import template
from onedr.model.errors import InputError, OneDRError
from onedr.model.template import Pairs

BYTES = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(autouse=True)
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front-end of its own: ONE_LOCATION, a home, and a staging folder."""
    for name in ("one/var", "one/etc", "home", "staging", "data"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path / "one"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_PAUSE_S", 0.01)
    return tmp_path


def image(path: str, size: str = "", **attributes: str) -> etree._Element:
    pairs: Pairs = (("PATH", path), ("SIZE", size), ("TEMPLATE", tuple(attributes.items()) or (("X", "1"),)))
    return template.parse_xml(template.to_xml(pairs, root="IMAGE"))


def attributes(folder: Path, **more: str) -> Pairs:
    return (("STAGING_DIR", str(folder / "staging")), *more.items())


def qemu_img(*argv: str) -> None:
    subprocess.run(["qemu-img", *argv], check=True, capture_output=True)


def refused(path: str, attributes_: Pairs) -> None:
    with pytest.raises(InputError, match="restricted directory"):
        staging.check_allowed(path, attributes_)


class TestAllowedPlaces:
    def test_opennebulas_own_folders_and_the_home_are_always_restricted(self, front_end: Path) -> None:
        for folder in ("one/var", "one/etc", "home"):
            refused(str(front_end / folder / "x"), ())
            refused(str(front_end / folder), ())
        staging.check_allowed(str(front_end / "data" / "x"), ())

    def test_a_restricted_directory_restricts_all_below_and_nothing_beside(self, front_end: Path) -> None:
        rules = (("RESTRICTED_DIRS", f"/nowhere {front_end / 'data'}"),)
        refused(str(front_end / "data/deep/er/x"), rules)
        for beside in ("datax/x", "data.bak", "staging/x"):
            staging.check_allowed(str(front_end / beside), rules)

    def test_a_safe_directory_wins_and_its_lookalike_does_not(self, front_end: Path) -> None:
        rules = (("RESTRICTED_DIRS", "/"), ("SAFE_DIRS", f"{front_end / 'data'} /other"))
        staging.check_allowed(str(front_end / "data/x"), rules)
        staging.check_allowed(str(front_end / "data"), rules)
        for lookalike in ("datax/x", "data-2/x", "dat/x", "x"):
            refused(str(front_end / lookalike), rules)

    def test_a_safe_directory_opens_a_part_of_opennebulas_own(self, front_end: Path) -> None:
        rules = (("SAFE_DIRS", str(front_end / "one/var/public")),)
        staging.check_allowed(str(front_end / "one/var/public/x"), rules)
        refused(str(front_end / "one/var/x"), rules)
        refused(str(front_end / "one/var/publicx"), rules)

    def test_dots_and_links_are_followed_before_judging(self, front_end: Path) -> None:
        rules = (("SAFE_DIRS", str(front_end / "data")),)
        refused(str(front_end / "data/../one/etc/oned.conf"), rules)
        (front_end / "data/door").symlink_to(front_end / "one/etc")
        (front_end / "data/file").symlink_to(front_end / "one/etc/oned.conf")
        refused(str(front_end / "data/door/oned.conf"), rules)
        refused(str(front_end / "data/file"), rules)

    def test_a_directory_named_by_a_link_is_the_directory(self, front_end: Path) -> None:
        (front_end / "link").symlink_to(front_end / "data")
        refused(str(front_end / "data/x"), (("RESTRICTED_DIRS", str(front_end / "link")),))
        staging.check_allowed(
            str(front_end / "data/x"), (("RESTRICTED_DIRS", "/"), ("SAFE_DIRS", str(front_end / "link")))
        )

    def test_var_tmpx_is_not_var_tmp(self) -> None:
        rules = (("RESTRICTED_DIRS", "/"), ("SAFE_DIRS", "/var/tmp"))
        staging.check_allowed("/var/tmp/x", rules)
        refused("/var/tmpx/x", rules)

    def test_a_forbidden_file_is_neither_copied_nor_measured(self, front_end: Path) -> None:
        secret = front_end / "one/etc/secret"
        secret.write_bytes(BYTES)
        with (
            pytest.raises(InputError, match="restricted"),
            staging.raw_file(image(str(secret)), attributes(front_end)),
        ):
            pass
        with pytest.raises(InputError, match="restricted"):
            staging.virtual_size(image(str(secret)), attributes(front_end))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "no PATH"),
        ("relative/file", "neither"),
        ("file:///etc/passwd", "neither"),
        ("ssh://host;id:/x", "neither"),
        ("ssh://-oProxyCommand=id:/x", "neither"),
        ("ssh://host&id:/x", "neither"),
        ("ssh://host:/$(id)", "neither"),
        ("rsync://1/2/`id`", "neither"),
        ("s3://a/b c", "neither"),
        ("s3://a/\n", "neither"),
        ("-x", "neither"),
        ("ftp://127.0.0.1/x", "neither"),
        ("HTTP:/x", "neither"),
    ],
)
def test_only_absolute_paths_and_http_are_sources(path: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        staging.image_path(image(path))


class TestLocalFiles:
    def test_a_raw_file_is_used_where_it_lies(self, front_end: Path) -> None:
        path = front_end / "data/raw"
        path.write_bytes(BYTES)
        with staging.raw_file(image(str(path)), attributes(front_end)) as found:
            assert found == path
        assert path.read_bytes() == BYTES
        assert staging.virtual_size(image(str(path)), attributes(front_end)) == len(BYTES)

    def test_a_qcow2_file_becomes_raw_and_nothing_stays_in_staging(self, front_end: Path) -> None:
        raw, qcow2 = front_end / "data/raw", front_end / "data/x.qcow2"
        raw.write_bytes(BYTES)
        qemu_img("convert", "-f", "raw", "-O", "qcow2", str(raw), str(qcow2))
        with staging.raw_file(image(str(qcow2)), attributes(front_end)) as found:
            assert found.read_bytes() == BYTES
            assert found.is_relative_to(front_end / "staging")
        assert list((front_end / "staging").iterdir()) == []
        assert staging.virtual_size(image(str(qcow2)), attributes(front_end)) == len(BYTES)

    def test_a_failure_while_the_file_is_used_leaves_nothing_in_staging(self, front_end: Path) -> None:
        qcow2 = front_end / "data/x.qcow2"
        qemu_img("create", "-f", "qcow2", str(qcow2), "1M")
        with pytest.raises(RuntimeError), staging.raw_file(image(str(qcow2)), attributes(front_end)):
            raise RuntimeError
        assert list((front_end / "staging").iterdir()) == []

    def test_an_image_that_reads_another_file_is_refused(self, front_end: Path) -> None:
        secret, thief = front_end / "one/etc/secret", front_end / "data/thief"
        secret.write_bytes(BYTES)
        outside = f"data_file={front_end / 'data/side'},data_file_raw=on"
        for options in (["-b", str(secret), "-F", "raw", str(thief)], ["-o", outside, str(thief), "1M"]):
            qemu_img("create", "-f", "qcow2", *options)
            with pytest.raises(InputError, match="other files"), staging.raw_file(
                image(str(thief)), attributes(front_end)
            ):
                pass
            with pytest.raises(InputError, match="other files"):
                staging.virtual_size(image(str(thief)), attributes(front_end))

    def test_a_vmdk_is_taken_alone_and_refused_when_its_extent_is_another_file(self, front_end: Path) -> None:
        alone, flat = front_end / "data/alone.vmdk", front_end / "data/flat.vmdk"
        qemu_img("create", "-f", "vmdk", str(alone), "1M")
        assert staging.virtual_size(image(str(alone)), attributes(front_end)) == len(BYTES)
        qemu_img("create", "-f", "vmdk", "-o", "subformat=monolithicFlat", str(flat), "1M")
        with pytest.raises(InputError, match="other files"):
            staging.virtual_size(image(str(flat)), attributes(front_end))

    @pytest.mark.parametrize("name", ["gone", "", "x" * 300])
    def test_what_is_no_file_is_refused(self, front_end: Path, name: str) -> None:
        with pytest.raises(InputError, match="cannot access"):
            staging.virtual_size(image(f"{front_end}/data/{name}"), attributes(front_end))

    def test_a_staging_folder_that_is_missing_is_named(self, front_end: Path) -> None:
        with pytest.raises(InputError, match="STAGING_DIR /no/where"):
            staging.staging_folder((("STAGING_DIR", "/no/where"),))


class TestChecksums:
    @pytest.mark.parametrize("algorithm", ["md5", "sha1"])
    def test_a_sum_that_agrees_lets_the_file_pass_in_either_case(
        self, front_end: Path, algorithm: str
    ) -> None:
        path = front_end / "data/raw"
        path.write_bytes(BYTES)
        digest = hashlib.new(algorithm, BYTES).hexdigest()
        for text in (digest, digest.upper(), f" {digest}\n"):
            staging.verify(path, image(str(path), **{algorithm.upper(): text}))

    @pytest.mark.parametrize("algorithm", ["MD5", "SHA1"])
    def test_a_sum_that_differs_stops_the_copy(self, front_end: Path, algorithm: str) -> None:
        path = front_end / "data/raw"
        path.write_bytes(BYTES)
        other = hashlib.new(algorithm.lower(), b"other").hexdigest()
        with (
            pytest.raises(InputError, match=f"{algorithm} checksum of {path}.*expected {other}"),
            staging.raw_file(image(str(path), **{algorithm: other}), attributes(front_end)),
        ):
            pass

    def test_one_good_sum_does_not_excuse_the_other(self, front_end: Path) -> None:
        path = front_end / "data/raw"
        path.write_bytes(BYTES)
        with pytest.raises(InputError, match="SHA1"):
            staging.verify(path, image(str(path), MD5=hashlib.md5(BYTES).hexdigest(), SHA1="0" * 40))


class _Server(BaseHTTPRequestHandler):
    """`/short` ends early, `/nolength` tells no length, `/garbled` a wrong one, `/garbage` is no HTTP at
    all; `/drip` sends a byte of its body now and then, `/drip-head` one of its headers.
    """

    bodies: dict[str, bytes] = {}
    closing = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/drip"):
            self._drip(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if self.path == "/drip" else b"X: "))
            return
        if self.path == "/garbage":
            self.wfile.write(b"this is no http\r\n\r\n")
            return
        body = self.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/nolength":
            length = {"/short": len(body) + 10, "/garbled": "many", "/negative": -(1 << 40)}.get(self.path, len(body))
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, head: bytes) -> None:
        with suppress(OSError):
            self.wfile.write(head)
            while not self.closing.wait(0.05):
                self.wfile.write(b"x")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(front_end: Path) -> Iterator[str]:
    raw, qcow2 = front_end / "data/raw", front_end / "data/x.qcow2"
    raw.write_bytes(BYTES)
    qemu_img("create", "-f", "qcow2", str(qcow2), "8M")
    _Server.bodies = {
        **dict.fromkeys(("/raw", "/short", "/nolength", "/garbled", "/negative", "/a%20b%C3%BC"), BYTES),
        "/qcow2": qcow2.read_bytes(),
    }
    _Server.closing.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    _Server.closing.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


class TestHttp:
    def test_a_file_is_fetched_checked_and_removed(self, front_end: Path, server: str) -> None:
        wanted = image(
            f"{server}/raw", MD5=hashlib.md5(BYTES).hexdigest(), SHA1=hashlib.sha1(BYTES).hexdigest()
        )
        with staging.raw_file(wanted, attributes(front_end)) as found:
            assert found.read_bytes() == BYTES
        assert list((front_end / "staging").iterdir()) == []

    def test_a_fetched_file_with_another_sum_is_refused(self, front_end: Path, server: str) -> None:
        with pytest.raises(InputError, match="MD5"), staging.raw_file(
            image(f"{server}/raw", MD5="0" * 32), attributes(front_end)
        ):
            pass
        assert list((front_end / "staging").iterdir()) == []

    def test_the_size_is_known_from_the_head_or_the_length(self, front_end: Path, server: str) -> None:
        assert staging.virtual_size(image(f"{server}/raw"), attributes(front_end)) == len(BYTES)
        assert staging.virtual_size(image(f"{server}/qcow2"), attributes(front_end)) == 8 << 20
        with pytest.raises(InputError, match="set SIZE"):
            staging.virtual_size(image(f"{server}/nolength"), attributes(front_end))

    @pytest.mark.parametrize("path", ["/garbled", "/negative"])
    def test_a_length_that_is_none_is_not_told_to_oned(self, front_end: Path, server: str, path: str) -> None:
        with pytest.raises(InputError, match="Content-Length"):
            staging.virtual_size(image(server + path), attributes(front_end))

    def test_a_file_without_a_length_is_fetched_whole(self, front_end: Path, server: str) -> None:
        with staging.raw_file(image(f"{server}/nolength"), attributes(front_end)) as found:
            assert found.read_bytes() == BYTES

    def test_blanks_and_letters_in_an_address_are_escaped(self, front_end: Path, server: str) -> None:
        with staging.raw_file(image(f"{server}/a bü"), attributes(front_end)) as found:
            assert found.read_bytes() == BYTES

    @pytest.mark.parametrize("path", ["/short", "/gone", "/garbled", "/negative", "/garbage"])
    def test_an_answer_that_is_not_the_whole_file_is_refused(
        self, front_end: Path, server: str, path: str
    ) -> None:
        with (
            pytest.raises(InputError, match="etch"),
            staging.raw_file(image(server + path), attributes(front_end)),
        ):
            pass
        assert list((front_end / "staging").iterdir()) == []

    @pytest.mark.parametrize(
        "url", ["http://", "http://[bad", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"]
    )
    def test_an_address_that_is_none_is_refused(self, front_end: Path, url: str) -> None:
        with pytest.raises(InputError, match="Cannot fetch"):
            staging.virtual_size(image(url), attributes(front_end))

    def test_a_server_that_is_not_there_is_an_input_error(self, front_end: Path, server: str) -> None:
        gone = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
        port = gone.server_port
        gone.server_close()
        with pytest.raises(OneDRError, match="Cannot fetch"):
            staging.virtual_size(image(f"http://127.0.0.1:{port}/raw"), attributes(front_end))

    @pytest.mark.parametrize("path", ["/drip", "/drip-head"])
    def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(
        self, front_end: Path, server: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "_HEAD_LIMIT_S", 0.5)
        monkeypatch.setattr(download, "_LIMIT_S", 0.5)
        with pytest.raises(InputError, match="did not end within 0.5 s"):
            staging.virtual_size(image(server + path), attributes(front_end))
        with (
            pytest.raises(InputError, match="did not end within 0.5 s"),
            staging.raw_file(image(server + path), attributes(front_end)),
        ):
            pass

    def test_what_does_not_fit_into_the_staging_folder_is_not_fetched(
        self, front_end: Path, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unpack, "room", lambda folder: len(BYTES) - 1)
        for path in ("/raw", "/nolength"):  # told by the length, or found on the way
            with (
                pytest.raises(InputError, match="does not fit .* STAGING_DIR"),
                staging.raw_file(image(server + path), attributes(front_end)),
            ):
                pass
        assert list((front_end / "staging").iterdir()) == []

    def test_the_size_of_a_vmdk_is_known_from_its_head(self, front_end: Path, server: str) -> None:
        for form in ("monolithicSparse", "streamOptimized"):
            path = front_end / f"data/{form}.vmdk"
            source = front_end / "data/random"
            source.write_bytes(random.Random(1).randbytes(5 << 20))
            qemu_img("convert", "-O", "vmdk", "-o", f"subformat={form}", str(source), str(path))
            assert path.stat().st_size > unpack.HEAD
            _Server.bodies[f"/{form}"] = path.read_bytes()
            assert staging.virtual_size(image(f"{server}/{form}"), attributes(front_end)) == 5 << 20


class TestWhatOnedWasTold:
    def grown(self, front_end: Path, kind: str, size: int) -> str:
        path = front_end / f"data/grown-{kind}"
        if kind == "qcow2":
            qemu_img("create", "-f", "qcow2", str(path), str(size))
        else:
            path.write_bytes(gzip.compress(bytes(size)) if kind == "gzip" else bytes(size))
        return str(path)

    @pytest.mark.parametrize("kind", ["raw", "qcow2", "gzip"])
    def test_a_disk_larger_than_oned_counted_is_refused(self, front_end: Path, kind: str) -> None:
        path = self.grown(front_end, kind, 3 << 20)
        with (
            pytest.raises(InputError, match="holds a disk of 3 MiB, and OpenNebula was told 2 MiB"),
            staging.raw_file(image(path, "2"), attributes(front_end)),
        ):
            pass

    @pytest.mark.parametrize(("size", "told"), [(3 << 20, "3"), (3 << 20, "96"), ((3 << 20) + 512, "3")])
    def test_one_of_that_size_passes_and_a_part_of_a_mebibyte_more(
        self, front_end: Path, size: int, told: str
    ) -> None:
        path = self.grown(front_end, "qcow2", size)
        with staging.raw_file(image(path, told), attributes(front_end)) as found:
            assert found.stat().st_size == size

    def test_a_server_whose_file_grows_after_stat_is_refused(self, front_end: Path, server: str) -> None:
        told = staging.virtual_size(image(f"{server}/raw"), attributes(front_end)) >> 20
        _Server.bodies["/raw"] = BYTES * 96
        with (
            pytest.raises(InputError, match="96 MiB, and OpenNebula was told 1 MiB"),
            staging.raw_file(image(f"{server}/raw", str(told)), attributes(front_end)),
        ):
            pass

    def test_a_conversion_that_does_not_fit_is_not_begun(
        self, front_end: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw, qcow2 = front_end / "data/raw", front_end / "data/x.qcow2"
        raw.write_bytes(random.Random(1).randbytes(3 << 20))
        qemu_img("convert", "-O", "qcow2", str(raw), str(qcow2))
        monkeypatch.setattr(unpack, "room", lambda folder: 2 << 20)
        with (
            pytest.raises(InputError, match="staging folder has 2 MiB"),
            staging.raw_file(image(str(qcow2)), attributes(front_end)),
        ):
            pass
        qemu_img("create", "-f", "qcow2", str(qcow2), "64M")  # holes take no room
        with staging.raw_file(image(str(qcow2)), attributes(front_end)) as found:
            assert found.stat().st_size == 64 << 20
