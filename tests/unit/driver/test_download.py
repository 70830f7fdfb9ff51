"""Fetching over http(s): what curl does for the stock driver, and certificates that are checked."""
from __future__ import annotations

import base64
import random
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onedr.driver import download, staging
from onedr.model import template
from onedr.model.errors import InputError

BYTES = bytes(range(256)) * 4096  # 1 MiB
Answer = Callable[[BaseHTTPRequestHandler], None]


def whole(body: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def short(request: BaseHTTPRequestHandler) -> None:
    """Half of it, then the connection ends."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(BYTES)))
    request.end_headers()
    request.wfile.write(BYTES[: len(BYTES) // 2])


def failed(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()

    return answer


class Served:
    """A server whose answers are given one after the other (the last one again); `asked`: what was asked for,
    and the authorization that came along.
    """

    def __init__(self, *answers: Answer, context: ssl.SSLContext | None = None):
        self.asked: list[tuple[str, str | None]] = []
        left, asked = list(answers), self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers.get("Authorization")))
                (left.pop(0) if len(left) > 1 else left[0])(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that is refused
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.place = f"127.0.0.1:{self.server.server_port}"


@contextmanager
def serving(*answers: Answer, context: ssl.SSLContext | None = None) -> Iterator[Served]:
    served = Served(*answers, context=context)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        thread.join()
        served.server.server_close()


@pytest.fixture(autouse=True)
def one_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path / "one"))
    monkeypatch.setattr(download, "_PAUSE_S", 0.01)
    (tmp_path / "one/etc/onedr").mkdir(parents=True)
    (tmp_path / "staging").mkdir()
    return tmp_path


def fetched(url: str, to: Path, limit: str = "") -> bytes:
    download.fetch(url, to / "file", limit)
    return (to / "file").read_bytes()


class TestSecrets:
    def test_user_and_password_are_given_to_the_server_and_escapes_are_resolved(self, tmp_path: Path) -> None:
        with serving(whole(BYTES)) as served:
            assert fetched(f"http://me:p%40ss%2Fword@{served.place}/x", tmp_path) == BYTES
        assert served.asked == [("/x", f"Basic {base64.b64encode(b'me:p@ss/word').decode()}")]

    def test_a_user_alone_has_an_empty_password(self, tmp_path: Path) -> None:
        with serving(whole(BYTES)) as served:
            fetched(f"http://me@{served.place}/x", tmp_path)
        assert served.asked[0][1] == f"Basic {base64.b64encode(b'me:').decode()}"

    def test_a_redirect_takes_them_along_on_the_same_server_and_to_no_other(self, tmp_path: Path) -> None:
        with serving(whole(BYTES)) as other:
            away = failed(302, Location=f"http://{other.place}/y")
            with serving(failed(302, Location="/there"), away) as first:
                assert fetched(f"http://me:secret@{first.place}/x", tmp_path) == BYTES
        wanted = f"Basic {base64.b64encode(b'me:secret').decode()}"
        assert first.asked == [("/x", wanted), ("/there", wanted)]
        assert other.asked == [("/y", None)]

    def test_no_sentence_has_the_password(self, tmp_path: Path) -> None:
        with serving(failed(404)) as served, pytest.raises(InputError) as error:
            fetched(f"http://me:secret@{served.place}/x", tmp_path)
        assert f"Cannot fetch http://…@{served.place}/x: HTTP Error 404" in str(error.value)
        with serving(whole(b"x" * 1024)) as served, pytest.raises(InputError, match="MD5 checksum of http://…@") as sum_:
            pairs = (("PATH", f"http://me:secret@{served.place}/x"), ("TEMPLATE", (("MD5", "0" * 32),)))
            with staging.raw_file(
                template.parse_xml(template.to_xml(pairs, root="IMAGE")), (("STAGING_DIR", str(tmp_path / "staging")),)
            ):
                pass
        assert "secret" not in str(error.value) + str(sum_.value)

    @pytest.mark.parametrize("url", ["http://host/a@b", "http://host?x=@", "https://host"])
    def test_an_at_sign_in_the_path_is_no_password(self, url: str) -> None:
        assert download.shown(url) == url


class TestRetries:
    @pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
    def test_what_passes_is_tried_three_times_more(self, tmp_path: Path, code: int) -> None:
        with serving(failed(code), failed(code), failed(code), whole(BYTES)) as served:
            assert fetched(f"http://{served.place}/x", tmp_path) == BYTES
        with serving(failed(code)) as served, pytest.raises(InputError, match=f"HTTP Error {code}"):
            fetched(f"http://{served.place}/x", tmp_path)
        assert len(served.asked) == 4

    @pytest.mark.parametrize("code", [401, 403, 404, 410, 501])
    def test_what_does_not_pass_is_asked_once(self, tmp_path: Path, code: int) -> None:
        with serving(failed(code)) as served, pytest.raises(InputError, match=f"HTTP Error {code}"):
            fetched(f"http://{served.place}/x", tmp_path)
        assert len(served.asked) == 1

    def test_one_that_ended_early_begins_again_from_the_start(self, tmp_path: Path) -> None:
        with serving(short, whole(BYTES)) as served:
            assert fetched(f"http://{served.place}/x", tmp_path) == BYTES
        with serving(short) as served, pytest.raises(InputError, match=f"ended early, {len(BYTES) // 2} bytes"):
            fetched(f"http://{served.place}/x", tmp_path)

    def test_the_server_may_ask_for_a_longer_pause_but_not_for_hours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("onedr.driver.download.time.sleep", pauses.append)
        later = [failed(503, Retry_After=text) for text in ("7", "86400", "Fri, 31 Dec 1999 23:59:59 GMT")]
        with serving(*later, whole(BYTES)) as served:
            fetched(f"http://{served.place}/x", tmp_path)
        assert pauses == [7.0, 60.0, 0.01]

    def test_the_size_is_asked_for_again_too(self, tmp_path: Path) -> None:
        with serving(failed(503), whole(BYTES * 2)) as served:
            assert download.fetch_head(f"http://{served.place}/x", tmp_path / "head") == 2 << 20


class TestBandwidth:
    def test_a_limit_holds_for_http(self, tmp_path: Path) -> None:
        with serving(whole(BYTES)) as served:
            began = time.monotonic()
            assert fetched(f"http://{served.place}/x", tmp_path, "2M") == BYTES
            assert 0.4 < time.monotonic() - began < 5

    def test_it_is_written_as_curl_takes_it(self) -> None:
        for text, found in {"500": 500, "10k": 10240, "3M": 3 << 20, "2g": 2 << 30, " 1K ": 1024, "": None}.items():
            assert download.rate(text) == found

    @pytest.mark.parametrize("text", ["0", "fast", "-1", "10 M", "1.5M", "10MB"])
    def test_what_is_no_limit_is_named(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(InputError, match="LIMIT_TRANSFER_BW is"):
            fetched("http://127.0.0.1:1/x", tmp_path, text)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own making, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


class TestCertificates:
    @contextmanager
    def secured(self, own: Path) -> Iterator[str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own)
        with serving(whole(BYTES), context=context) as served:
            yield f"https://{served.place}/x"

    def test_a_server_that_nobody_vouches_for_is_refused_once_with_what_to_do(self, tmp_path: Path, own: Path) -> None:
        with self.secured(own) as url, pytest.raises(InputError, match=r"is not trusted here .* downloads\.ca in .*onedr\.conf"):
            fetched(url, tmp_path)

    def test_one_whose_authority_is_configured_is_trusted(self, tmp_path: Path, own: Path) -> None:
        (tmp_path / "one/etc/onedr/onedr.conf").write_text(f"[downloads]\nca = {own}\n")
        with self.secured(own) as url:
            assert fetched(url, tmp_path) == BYTES

    def test_a_file_without_certificates_is_named(self, tmp_path: Path, own: Path) -> None:
        for wrong in ("/nowhere/ca.pem", __file__):
            (tmp_path / "one/etc/onedr/onedr.conf").write_text(f"[downloads]\nca = {wrong}\n")
            with self.secured(own) as url, pytest.raises(InputError, match=f"downloads.ca: {wrong} holds no certif"):
                fetched(url, tmp_path)


@pytest.mark.parametrize("form", ["vhdx", "vpc", "vdi", "qcow2", "qcow", "parallels", "vmdk"])
def test_the_size_of_each_format_is_known_from_its_head(tmp_path: Path, form: str) -> None:
    """The disk is 96 MiB, its file much longer than what is fetched of it."""
    raw, made = tmp_path / "raw", tmp_path / f"x.{form}"
    with raw.open("wb") as file:
        file.write(random.Random(1).randbytes(12 << 20))
        file.truncate(96 << 20)
    subprocess.run(["qemu-img", "convert", "-O", form, str(raw), str(made)], check=True)
    body = made.read_bytes()
    assert len(body) > 12 << 20
    pairs = (("TEMPLATE", (("X", "1"),)),)
    with serving(whole(body)) as served:
        image = template.parse_xml(template.to_xml((("PATH", f"http://{served.place}/x"), *pairs), root="IMAGE"))
        found = staging.virtual_size(image, (("STAGING_DIR", str(tmp_path / "staging")),))
    assert 96 << 20 <= found < 97 << 20  # vpc rounds up to whole cylinders
    assert list((tmp_path / "staging").iterdir()) == []
