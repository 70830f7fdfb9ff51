"""Driver data from outside: understood, or refused with one plain line; never another error, never a file
read.
"""
from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import XML_TEXT

from onedr.driver import decode
from onedr.driver.decode import ActionData, RemotePath
from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.types import Mode


def encoded(document: str | bytes) -> str:
    return base64.b64encode(document.encode() if isinstance(document, str) else document).decode()


def document(
    datastore: template.Pairs = (("ID", "102"),), image: template.Pairs | None = (("ID", "7"),)
) -> str:
    parts: list[Any] = [] if image is None else [("IMAGE", image)]
    return template.to_xml((*parts, ("DATASTORE", datastore)), root="DS_DRIVER_ACTION_DATA")


def refused(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        decode.action_data(text)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def test_a_call_is_understood() -> None:
    attributes = (
        ("POOL_NAME", "one"),
        ("CEPH_USER", "libvirt"),
        ("DR_PROTECT", "YES"),
        ("DR_MODE", "snapshot"),
    )
    data = decode.action_data(encoded(document((("ID", "102"), ("NAME", "ceph"), ("TEMPLATE", attributes)))))
    assert (data.datastore_id, data.datastore_name, data.attributes) == (102, "ceph", attributes)
    assert (data.access.pool, data.access.user) == ("one", "libvirt")
    assert (data.settings.protect, data.settings.mode) == (True, Mode.SNAPSHOT)
    assert data.wanted_image().findtext("ID") == "7"


def test_wrapped_base64_with_a_newline_behind_is_what_oned_sends() -> None:
    text = base64.encodebytes(document().encode() + b" " * 200).decode()
    assert text.count("\n") > 2
    assert decode.action_data(text).datastore_id == decode.action_data(text.encode()).datastore_id == 102


def test_a_call_on_a_datastore_has_no_image_and_an_action_that_needs_one_says_so() -> None:
    data = decode.action_data(encoded(document(image=None)))
    assert data.image is None
    with pytest.raises(InputError, match="no IMAGE"):
        data.wanted_image()


def test_a_datastore_without_name_or_template_is_still_named() -> None:
    data = decode.action_data(encoded(document()))
    assert (data.datastore_name, data.attributes) == ("datastore 102", ())


@pytest.mark.parametrize("text", ["", "%%%", "A", "PGE", "é", "====", "\x00", "\ud800", b"\xff\xfe", b"\x80"])
def test_garbage_base64_is_refused(text: str | bytes) -> None:
    refused(text)


BILLION = '<!DOCTYPE a [<!ENTITY a0 "lol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
) + "]><DS_DRIVER_ACTION_DATA><DATASTORE><ID>&a9;</ID></DATASTORE></DS_DRIVER_ACTION_DATA>"


@pytest.mark.parametrize(
    "text",
    [
        BILLION,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><DS_DRIVER_ACTION_DATA><DATASTORE><ID>&x;</ID></DATASTORE>'
        "</DS_DRIVER_ACTION_DATA>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/evil.dtd"><DS_DRIVER_ACTION_DATA><DATASTORE/></DS_DRIVER_ACTION_DATA>',
        "<!DOCTYPE a><DS_DRIVER_ACTION_DATA><DATASTORE/></DS_DRIVER_ACTION_DATA>",
        "<DS_DRIVER_ACTION_DATA><DATASTORE>&x;</DATASTORE></DS_DRIVER_ACTION_DATA>",
        "<DS_DRIVER_ACTION_DATA><DATASTORE>",
        "",
        "text",
        "<DS_DRIVER_ACTION_DATA>" + "<a>" * 5000 + "</a>" * 5000,
    ],
)
def test_entities_bombs_and_broken_xml_are_refused(text: str) -> None:
    assert "cannot be read" in refused(encoded(text))


@pytest.mark.parametrize("text", [
    "<DS_DRIVER_ACTION_DATA/>", "<OTHER><DATASTORE><ID>1</ID></DATASTORE></OTHER>",
    "<DS_DRIVER_ACTION_DATA><X><DATASTORE/></X></DS_DRIVER_ACTION_DATA>",
])
def test_a_document_of_another_kind_is_refused_by_its_name(text: str) -> None:
    assert "DATASTORE" in refused(encoded(text))


@pytest.mark.parametrize(
    "datastore", [(), (("ID", ""),), (("ID", "x"),), (("ID", "-1"),), (("NAME", "ceph"),)]
)
def test_a_datastore_without_a_number_is_refused_when_the_number_is_needed(datastore: template.Pairs) -> None:
    data = decode.action_data(encoded(document(datastore or (("NAME", ""),))))
    with pytest.raises(InputError, match="DATASTORE/ID"):
        _ = data.datastore_id


@pytest.mark.parametrize("key", ["POOL_NAME", "CEPH_USER", "EC_POOL_NAME"])
@pytest.mark.parametrize("value", ["-rf", "a b", "$(id)", "a;b", "../x", "a/b", "ü", "a\nb"])
def test_a_name_that_no_pool_or_user_can_have_is_refused(key: str, value: str) -> None:
    data = decode.action_data(encoded(document((("ID", "1"), ("TEMPLATE", ((key, value),))))))
    with pytest.raises(InputError, match="pool or user|names an RBD namespace"):
        _ = data.access


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_noise_gives_an_input_error_and_nothing_else(noise: bytes | str) -> None:
    for text in (noise, encoded(noise if isinstance(noise, bytes) else noise.encode("utf-8", "replace"))):
        with pytest.raises(InputError):
            decode.action_data(text)


@given(st.data())
def test_a_damaged_call_gives_an_input_error_or_a_call(data: st.DataObject) -> None:
    raw = bytearray(
        document((("ID", "102"), ("TEMPLATE", (("POOL_NAME", "one"), ("DR_RPO", "15m"))))).encode()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        call = decode.action_data(encoded(bytes(raw)))
        _ = (call.datastore_id, call.datastore_name, call.access, call.settings, call.wanted_image())
    except InputError:
        return
    assert isinstance(call, ActionData)


@given(XML_TEXT)
def test_a_users_text_reaches_the_driver_unchanged(text: str) -> None:
    data = decode.action_data(encoded(document(image=(("NAME", f"{text}<&>]]>"),))))
    assert data.wanted_image().findtext("NAME") == f"{text}<&>]]>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "host1:/var/lib/one/datastores/103/10/disk.2",
            RemotePath("host1", "/var/lib/one/datastores/103/10/disk.2", 2),
        ),
        ("h:/ds/103/10", RemotePath("h", "/ds/103/10", None)),
        ("h:/ds/103/10/disk.0/", RemotePath("h", "/ds/103/10/disk.0/", 0)),
        ("h:/ds/disk.1x", RemotePath("h", "/ds/disk.1x", None)),
        ("h:/disk.1/10", RemotePath("h", "/disk.1/10", None)),
    ],
)
def test_a_place_is_a_host_and_a_path(text: str, expected: RemotePath) -> None:
    assert decode.remote_path(text) == expected


@pytest.mark.parametrize("text", ["", "host", "/path", ":/path", "host:path", "-oProxyCommand=x:/p", "host:"])
def test_anything_else_is_no_place(text: str) -> None:
    with pytest.raises(InputError, match="host:/path"):
        decode.remote_path(text)


def test_a_disks_place_must_end_in_its_number() -> None:
    assert decode.disk_id("h:/ds/103/10/disk.12") == 12
    for text in ("h:/ds/103/10", "h:/ds/disk.x", "h:/ds/disk.-1", "h:/ds/disk." + "9" * 5000):
        with pytest.raises(InputError, match="disk"):
            decode.disk_id(text)


def test_missing_arguments_are_named_and_further_ones_ignored() -> None:
    assert decode.words(["1", "2", "3"], "A", "B") == ["1", "2"]
    with pytest.raises(InputError, match="Missing argument B; expected: A B"):
        decode.words(["1"], "A", "B")
