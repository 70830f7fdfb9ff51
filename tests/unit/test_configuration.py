"""The site's own settings: every problem at once, secrets only in files that nobody else may read."""
from __future__ import annotations

from pathlib import Path

import pytest

from onedr.errors import InputError
from onedr.ports import configuration


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    made = tmp_path / "etc/onedr"
    made.mkdir(parents=True)
    return made


def write(folder: Path, text: str, session: str = "oneadmin:secret\n", mode: int = 0o600) -> None:
    auth = folder / "peer_auth"
    auth.write_text(session)
    auth.chmod(mode)
    (folder / "onedr.conf").write_text(text.replace("AUTH", str(auth)))


def test_without_a_file_nothing_is_set(folder: Path) -> None:
    assert configuration.load() == configuration.Configuration("", "")


def test_the_peer_is_read(folder: Path) -> None:
    write(folder, "[peer]\nendpoint = https://b.example:2633/RPC2\nauth = AUTH\n")
    assert configuration.load() == configuration.Configuration("https://b.example:2633/RPC2", "oneadmin:secret")


@pytest.mark.parametrize(("text", "session", "mode", "words"), [
    ("[peer]\nendpoint = b:2633\nauth = AUTH\nport = 1\n", "x\n", 0o644,
     ["b:2633", "peer.port is not known", "chmod 600", "user:password"]),
    ("[peer]\nendpoint = http://b\n", "a:b", 0o600, ["go together"]),
    ("[peer]\nendpoint = http://b\nauth = /nowhere\n", "a:b", 0o600, ["/nowhere cannot be read"]),
    ("[limits]\nx = 1\n", "a:b", 0o600, ["limits.x is not known", "peer.endpoint"]),
    ("peer = 1\n", "a:b", 0o600, ["onedr.conf cannot be read"]),
    ("[peer]\nendpoint = %(x)s\nauth = AUTH\n", "a:b", 0o600, ["%(x)s"]),
])
def test_every_problem_is_named_at_once(folder: Path, text: str, session: str, mode: int, words: list[str]) -> None:
    write(folder, text, session, mode)
    with pytest.raises(InputError) as caught:
        configuration.load()
    assert all(word in str(caught.value) for word in [*words, "onedr.conf"])
    assert "secret" not in str(caught.value)
