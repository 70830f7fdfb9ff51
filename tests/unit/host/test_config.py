"""The site's own settings: every problem at once, secrets only in files that nobody else may read."""
from __future__ import annotations

from pathlib import Path

import pytest

from onedr.host import config as host_config
from onedr.model.errors import InputError


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
    assert host_config.load_config() == host_config.Configuration("", "", 2, 100, 32)


def test_the_peer_is_read(folder: Path) -> None:
    write(folder, "[peer]\nendpoint = https://b.example:2633/RPC2\nauth = AUTH\n")
    assert host_config.load_config() == host_config.Configuration(
        "https://b.example:2633/RPC2", "oneadmin:secret"
    )


@pytest.mark.parametrize(("endpoint", "insecure", "loads"), [
    ("http://b.example:2633/RPC2", "", False),
    ("http://b.example:2633/RPC2", "insecure = no\n", False),
    ("HTTP://b.example:2633/RPC2", "", False),
    ("http://127.0.0.1.b.example:2633/RPC2", "", False),
    ("http://localhost.b.example/RPC2", "", False),
    ("http://[2001:db8::1]:2633/RPC2", "", False),
    ("http://b.example:2633/RPC2", "insecure = maybe\n", False),
    ("http://b.example:2633/RPC2", "insecure = yes\n", True),
    ("http://localhost:2633/RPC2", "", True),
    ("http://127.0.0.1:2633/RPC2", "", True),
    ("http://[::1]:2633/RPC2", "", True),
    ("https://b.example/RPC2", "", True),
])
def test_plain_http_is_to_this_machine_or_wanted(folder: Path, endpoint: str, insecure: str, loads: bool) -> None:
    write(folder, f"[peer]\nendpoint = {endpoint}\nauth = AUTH\n{insecure}")
    if loads:
        assert host_config.load_config().peer_endpoint == endpoint
        return
    with pytest.raises(InputError, match="insecure"):
        host_config.load_config()


def test_a_fence_command_is_a_list_of_words(folder: Path) -> None:
    write(folder, '[fence]\ncommand = ["/bin/fence", "site a", "$HOME"]\nlimit_s = 30\n')
    found = host_config.load_config()
    assert (found.fence_command, found.fence_limit_s) == (("/bin/fence", "site a", "$HOME"), 30)


@pytest.mark.parametrize("command", ["/bin/fence a", "[]", '["fence"]', '["/bin/fence", 3]', '{"a": 1}', '["/b", ""]'])
def test_a_fence_command_that_is_no_list_of_words_is_named(folder: Path, command: str) -> None:
    write(folder, f"[fence]\ncommand = {command}\n")
    with pytest.raises(InputError, match="fence.command"):
        host_config.load_config()


@pytest.mark.parametrize(
    ("text", "session", "mode", "words"),
    [
        (
            "[peer]\nendpoint = b:2633\nauth = AUTH\nport = 1\n",
            "x\n",
            0o644,
            [
                "b:2633",
                "peer.port is unknown",
                "known: peer.endpoint, peer.auth, peer.insecure, limits.",
                "mode 0644",
                "chmod 600",
                "user:password",
            ],
        ),
        ("[peer]\nendpoint = http://b\n", "a:b", 0o600, ["peer.endpoint is set but peer.auth is not"]),
        ("[peer]\nauth = AUTH\n", "a:b", 0o600, ["peer.auth is set but peer.endpoint is not"]),
        (
            "[peer]\nendpoint = http://b\nauth = peer_auth\n",
            "a:b",
            0o600,
            ["'peer_auth', not the absolute path"],
        ),
        (
            "[pear]\n[DEFAULT]\nauth = x\n",
            "a:b",
            0o600,
            ["section [pear] is unknown", "section [DEFAULT] is unknown"],
        ),
        (
            "[limits]\nflatten_at_once = 0\nrole_changes_at_once = many\nstarts_at_once = 33\n",
            "a:b",
            0o600,
            [
                "limits.flatten_at_once is '0', not a number from 1 to 16",
                "limits.role_changes_at_once is 'many', not a number from 1 to 100",
                "limits.starts_at_once is '33', not a number from 1 to 32",
            ],
        ),
        ("[peer]\nendpoint = http://b\nauth = /nowhere\n", "a:b", 0o600, ["/nowhere cannot be read"]),
        ("[limits]\nx = 1\n", "a:b", 0o600, ["limits.x is unknown", "peer.endpoint"]),
        ("peer = 1\n", "a:b", 0o600, ["onedr.conf cannot be read"]),
        ("[peer]\nendpoint = %(x)s\nauth = AUTH\n", "a:b", 0o600, ["%(x)s"]),
    ],
)
def test_every_problem_is_named_at_once(
    folder: Path, text: str, session: str, mode: int, words: list[str]
) -> None:
    write(folder, text, session, mode)
    with pytest.raises(InputError) as caught:
        host_config.load_config()
    assert all(word in str(caught.value) for word in [*words, "onedr.conf"])
    assert "secret" not in str(caught.value)


def test_a_file_that_others_may_write_is_refused(folder: Path) -> None:
    write(folder, "[limits]\nstarts_at_once = 4\n")
    (folder / "onedr.conf").chmod(0o666)
    with pytest.raises(InputError, match="other users may write it .mode 0666."):
        host_config.load_config()


def test_limits_are_read_and_a_mistake_elsewhere_stops_nobody(folder: Path) -> None:
    write(folder, "[limits]\nstarts_at_once = 4\nflatten_at_once = 1\n")
    assert host_config.limits() == host_config.load_config() == host_config.Configuration("", "", 1, 100, 4)
    write(folder, "[limits]\nstarts_at_once = 4\n[pear]\n")
    assert host_config.limits() == host_config.Configuration()
