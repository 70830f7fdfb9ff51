"""Secrets leave a template and come back; what stays behind holds none of their values."""
from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import KEYS, XML_TEXT

from onedr.model.template import Pairs
from onedr.replication import secrets

SECRET_KEYS = (
    "PASSWORD",
    "PW",
    "ROOT_PASS",
    "DB_PASS",
    "USERPASS",
    "PASSPHRASE",
    "WIFI_PSK",
    "SSH_PRIVKEY",
    "API_KEY_BASE64",
    "AWS_ACCESS_KEY_ID",
    "root_password",
    "API_TOKEN",
    "SSH_PRIVATE_KEY",
    "CEPH_SECRET",
    "KEY",
    "VNC_PASSWD",
    "CREDENTIALS",
    "db_pwd",
)
PUBLIC_KEYS = ("SSH_PUBLIC_KEY", "KEYMAP", "NAME", "KEYBOARD", "MONKEY", "DISK", "SSH_PUBLIC_KEYS", "PWM",
               "START_SCRIPT", "PASSTHROUGH", "BYPASS", "COMPASS", "PASSIVE", "AUTHORIZED_KEYS", "PIN_POLICY",
               "LUKS_SECRET")
ANY_KEY = st.sampled_from(SECRET_KEYS + PUBLIC_KEYS) | KEYS
VECTOR = st.lists(st.tuples(ANY_KEY, XML_TEXT), max_size=4).map(tuple)
TEMPLATES = st.lists(st.tuples(ANY_KEY, XML_TEXT | VECTOR), max_size=8).map(tuple)


def content(attributes: Pairs) -> Counter[object]:
    """What a template says, without the order inside a vector or among plain attributes."""
    return Counter(
        (key, value if isinstance(value, str) else tuple(sorted(value))) for key, value in attributes
    )


@given(TEMPLATES)
def test_join_of_split_keeps_the_content(attributes: Pairs) -> None:
    kept, hidden = secrets.split_secrets(attributes)
    assert content(secrets.restore_secrets(kept, hidden)) == content(attributes)


@given(TEMPLATES)
def test_vectors_keep_their_order(attributes: Pairs) -> None:
    def order(pairs: Pairs) -> list[str]:
        return [key for key, value in pairs if not isinstance(value, str)]

    assert order(secrets.restore_secrets(*secrets.split_secrets(attributes))) == order(attributes)


def marked(attributes: Pairs) -> Pairs:
    """Every value of a secret made unmistakable."""
    built: list[tuple[str, object]] = []
    for key, value in attributes:
        if isinstance(value, str):
            built.append((key, f"S3CRET{value}" if secrets.is_secret(key) else value))
        else:
            built.append((key, tuple(
                (inner, f"S3CRET{text}" if secrets.is_secret(inner) or secrets.is_secret(key) else text)
                for inner, text in value
            )))
    return tuple(built)


@given(TEMPLATES.map(marked))
def test_no_secret_value_remains_in_the_kept_part(attributes: Pairs) -> None:
    kept, hidden = secrets.split_secrets(attributes)
    assert "S3CRET" not in repr(kept)
    assert repr(hidden).count("S3CRET") == repr(attributes).count("S3CRET")


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_these_names_say_secret(key: str) -> None:
    assert secrets.is_secret(key)


@pytest.mark.parametrize("key", PUBLIC_KEYS)
def test_these_names_do_not(key: str) -> None:
    assert not secrets.is_secret(key)


def test_a_secret_is_named_by_its_place_so_that_two_of_a_name_go_back_where_they_were() -> None:
    attributes: Pairs = (
        ("NIC", (("NAME", "a"),)), ("CONTEXT", (("PASSWORD", "one"), ("HOST", "h"))), ("PW", "plain"),
        ("GRAPHICS", (("PASSWORD", "two"),)),
    )
    kept, hidden = secrets.split_secrets(attributes)
    assert kept == (("NIC", (("NAME", "a"),)), ("CONTEXT", (("HOST", "h"),)), ("GRAPHICS", ()))
    assert hidden == (("1/PASSWORD", "one"), ("PW", "plain"), ("2/PASSWORD", "two"))
    joined = secrets.restore_secrets(kept, hidden)
    assert joined[1] == ("CONTEXT", (("HOST", "h"), ("PASSWORD", "one")))
    assert joined[2] == ("GRAPHICS", (("PASSWORD", "two"),))


def test_an_empty_secret_is_no_secret_and_stays() -> None:
    attributes: Pairs = (("PASSWORD", ""), ("CONTEXT", (("TOKEN", ""),)))
    assert secrets.split_secrets(attributes) == (attributes, ())


def test_what_a_datastore_names_is_secret_too() -> None:
    pairs: Pairs = (("LICENCE", "a"), ("Note", "b"), ("APP", (("LICENCE", "c"), ("SIZE", "1"))), ("VAULT", (("A", "d"),)))
    kept, hidden = secrets.split_secrets(pairs, frozenset({"LICENCE", "VAULT"}))
    assert sorted(value for _, value in hidden) == ["a", "c", "d"]
    assert content(secrets.restore_secrets(kept, hidden)) == content(pairs)
    assert secrets.split_secrets(pairs) == (pairs, ())
