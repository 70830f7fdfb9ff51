"""The way to the peer's front-end: tested before it is written, and what was there comes back."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import pytest

from onedr.host import config as host_config
from onedr.model.errors import FrontEndError, InputError, RefusedError
from onedr.pairing import front_end

SAMPLE = (Path(__file__).parents[3] / "share/onedr.conf").read_text()
GROUPS = {"oneadmin:secret": "0", "second:secret": "1</ID><ID>0", "plain:secret": "1"}


@pytest.fixture(autouse=True)
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setenv("ONE_XMLRPC", "http://127.0.0.1:2633/RPC2")
    for folder in ("etc/onedr", "var"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/onedr/onedr.conf").write_text(SAMPLE)
    return tmp_path / "etc/onedr"


@pytest.fixture
def peer() -> Iterator[str]:
    """A front-end that knows three users."""
    def info(session: Any, _: Any) -> Any:
        if session not in GROUPS:
            return [False, "[one.user.info] User couldn't be authenticated, aborting call.", 256]
        return [True, f"<USER><ID>5</ID><GID>1</GID><GROUPS><ID>{GROUPS[session]}</ID></GROUPS></USER>", 0]

    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(info, "one.user.info")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/RPC2"
        server.shutdown()
        thread.join()


def test_it_is_written_and_taken_back_to_the_byte(etc: Path, peer: str) -> None:
    assert front_end.is_asked_for()
    way = front_end.wanted(peer, "", False, "oneadmin:secret")
    front_end.verify(way)
    front_end.write_password(way)
    front_end.write(way.text)
    assert (etc / "peer_auth").stat().st_mode & 0o777 == 0o600
    found = host_config.load_config()
    assert (found.peer_endpoint, found.peer_session) == (peer, "oneadmin:secret")
    assert front_end.configured() == way.text and not front_end.is_asked_for()
    assert "secret" not in way.text + repr(way)
    front_end.write(None)
    assert (etc / "onedr.conf").read_text() == SAMPLE


def test_what_was_configured_before_comes_back(etc: Path) -> None:
    before = "[peer]\nendpoint = https://old/RPC2\nauth = /etc/one/my file\n"
    (etc / "onedr.conf").write_text(before)
    old = front_end.configured()
    front_end.write(front_end.wanted("http://b/RPC2", "", True, "a:b").text)
    assert "insecure = yes" in (etc / "onedr.conf").read_text()
    front_end.write(old)
    assert (etc / "onedr.conf").read_text() == before


@pytest.mark.parametrize(
    ("session", "error", "words"),
    [
        ("oneadmin:wrong", FrontEndError, "couldn't be authenticated.* Nothing was changed"),
        ("plain:secret", RefusedError, "plain at .* is not in group oneadmin there"),
        ("oneadmin", InputError, "one line user:password"),
        ("a:b\nc:d", InputError, "one line user:password"),
    ],
)
def test_a_way_that_does_not_lead_there_is_refused(
    peer: str, session: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as found:
        front_end.verify(front_end.wanted(peer, "", False, session))
    assert "wrong" not in str(found.value) and "secret" not in str(found.value)


def test_an_admin_by_a_further_group_is_one(peer: str) -> None:
    front_end.verify(front_end.wanted(peer, "", False, "second:secret"))


def test_our_own_front_end_and_one_that_is_silent_are_named() -> None:
    with pytest.raises(RefusedError, match="this site's own front-end"):
        front_end.verify(front_end.wanted("http://127.0.0.1:2633/RPC2", "", False, "a:b"))
    with pytest.raises(FrontEndError, match="other site's front-end: .*127.0.0.1:1/RPC2 does not answer"):
        front_end.verify(front_end.wanted("http://127.0.0.1:1/RPC2", "", False, "a:b"))


def test_plain_http_and_what_is_no_address_are_refused_before_anything(etc: Path) -> None:
    with pytest.raises(InputError, match="--peer-insecure"):
        front_end.wanted("http://front-end-b:2633/RPC2", "", False, "a:b")
    with pytest.raises(InputError, match="no address of a front-end"):
        front_end.wanted("front-end-b", "", False, "a:b")
    with pytest.raises(InputError, match=f"There is no {etc}/peer_auth. .* chmod 600"):
        front_end.wanted("https://front-end-b/RPC2", "", False)
    (etc / "peer_auth").write_text("a:b\n")
    (etc / "peer_auth").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        front_end.wanted("https://front-end-b/RPC2", "", False)
