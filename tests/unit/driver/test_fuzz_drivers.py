"""Hostile and broken input to every action in drivers/: an answer, or one plain sentence; nothing else
happens.

The list of actions is read from the folder and each says itself which arguments it wants, so a new one is
covered at once.
"""
from __future__ import annotations

import base64
import os
import re
import sys
from functools import cache
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from fuzz_border import EXECUTABLES, REPO, Outcome, World, play
from hypothesis import example, given, settings
from hypothesis import strategies as st

LONGEST_SENTENCE = 1200
MORE = int(os.environ.get("FUZZ", "1"))  # FUZZ=100: examples for a night instead of seconds
HOSTILE = [
    "",
    " ",
    "a b",
    "'",
    '"',
    ";",
    "a;id",
    "$(id)",
    "`id`",
    "a\nb",
    "a\rb",
    "\x1b[2J",
    "ü",
    "名前",
    "\u202e",
    "..",
    "../x",
    "/",
    "//",
    "-",
    "-rf",
    "--help",
    "-oProxyCommand=id",
    "one/..",
    "one/-x",
    "one/one-1@snap",
    "one/one-1;id",
    "one/" + "x" * 4096,
    "A" * 4096,
    "9" * 4096,
    "9" * 18,
    str(2**63),
    "-1",
    "1e9",
    "0x10",
    "1_000",
    "٣",
    "NaN",
    "%s%n",
    "{0}",
    "host:",
    ":/x",
    "-h:/x/datastores/1/7",
    "h;id:/var/lib/one/datastores/101/7/disk.0",
    "h:/var/lib/one/datastores/101/../7/disk.0",
    "h:/x/datastores/1/7\n/disk.0",
    "h:/datastores/101/7/disk." + "9" * 4096,
    "/etc/shadow",
    "/dev/zero",
    "/proc/self/environ",
    "/var/tmp/\udcff",
    "http://[::1",
    "s3://x",
    "http://127.0.0.1:9/\r\nHost: x",
    "file:///etc/passwd",
    "gopher://x",
    "rbd:one/x",
    "json:{}",
    "nbd:unix:/x",
    "|id",
]
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WORDS = st.sampled_from(HOSTILE) | st.text(max_size=40)
KEYS = [
    "POOL_NAME",
    "EC_POOL_NAME",
    "CEPH_USER",
    "CEPH_CONF",
    "CEPH_KEY",
    "CEPH_TRASH",
    "BRIDGE_LIST",
    "STAGING_DIR",
    "SAFE_DIRS",
    "RESTRICTED_DIRS",
    "DR_PROTECT",
    "DR_MODE",
    "DR_RPO",
    "DR_SITE",
    "DR_SITE_INDEX",
    "DR_CLONES",
    "DR_SCHEDULE",
    "DR_NETWORK_MAP",
    "DR_PEER_CONF",
    "SOURCE",
    "CLONE",
    "SIZE",
    "ORIGINAL_SIZE",
    "FS",
    "FORMAT",
    "TYPE",
    "DISK_ID",
    "TM_MAD",
    "MD5",
    "FORCE_DELETE",
]
DISK = "localhost:/var/lib/one/datastores/101/7/disk.0"
PLAIN = {
    "ID": "7",
    "VM_ID": "7",
    "IMAGE_ID": "7",
    "DATASTORE_ID": "101",
    "DS_ID": "101",
    "REQUEST_ID": "1",
    "SNAP_ID": "1",
    "SIZE": "16",
    "FORMAT": "raw",
    "SOURCE": "front:one/one-1",
    "TARGET": DISK,
    "DISK": DISK,
}
BILLION = '<!DOCTYPE a [<!ENTITY a0 "lol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
) + "]><DS_DRIVER_ACTION_DATA><DATASTORE><ID>&a9;</ID></DATASTORE></DS_DRIVER_ACTION_DATA>"
BROKEN = [
    b"",
    b"\0",
    b"%%%",
    b"A",
    b"\xff\xfe",
    b"=" * 4096,
    *(
        base64.b64encode(text.encode())
        for text in (
            "",
            "text",
            "<a>",
            "<a/>",
            "<DS_DRIVER_ACTION_DATA/>",
            "<DS_DRIVER_ACTION_DATA><DATASTORE/></DS_DRIVER_ACTION_DATA>",
            "<DS_DRIVER_ACTION_DATA><DATASTORE/><IMAGE/></DS_DRIVER_ACTION_DATA>",
            "<VM/>",
            BILLION,
            "<a>" * 5000 + "</a>" * 5000,
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><DS_DRIVER_ACTION_DATA><DATASTORE><ID>&x;</ID></DATASTORE></DS_DRIVER_ACTION_DATA>',
            '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><DS_DRIVER_ACTION_DATA><DATASTORE/></DS_DRIVER_ACTION_DATA>',
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
            "<DS_DRIVER_ACTION_DATA xmlns='x'><DATASTORE/></DS_DRIVER_ACTION_DATA>",
        )
    ),
]


def escaped(text: str) -> str:
    """Text as oned puts it into XML."""
    return NOT_IN_XML.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def attributes(values: dict[str, str]) -> str:
    return "".join(f"<{key}>{escaped(value)}</{key}>" for key, value in values.items())


def disk(more: dict[str, str]) -> str:
    usual = {
        "DISK_ID": "0",
        "SOURCE": "one/one-1",
        "CLONE": "YES",
        "POOL_NAME": "one",
        "SIZE": "8",
        "ORIGINAL_SIZE": "8",
        "TM_MAD": "ceph_dr",
    }
    return f"<DISK>{attributes({**usual, **more})}</DISK>"


def datastore(more: dict[str, str]) -> str:
    usual = {"POOL_NAME": "one", "CEPH_USER": "oneadmin", "DR_PROTECT": "YES"}
    return f"<DATASTORE><ID>101</ID><NAME>images</NAME><TEMPLATE>{attributes({**usual, **more})}</TEMPLATE></DATASTORE>"


def driver_data(image: dict[str, str], more: dict[str, str]) -> bytes:
    usual = {
        "ID": "7",
        "NAME": "web",
        "PATH": "/var/tmp/none",
        "SIZE": "8",
        "SOURCE": "one/one-7",
        "TYPE": "0",
    }
    both = f"<IMAGE>{attributes({**usual, **image})}<TEMPLATE/></IMAGE>{datastore(more)}"
    text = f"<DS_DRIVER_ACTION_DATA>{both}</DS_DRIVER_ACTION_DATA>"
    return base64.b64encode(text.encode("utf-8", "replace")) + b"\n"


def front_end(disk_more: dict[str, str], datastore_more: dict[str, str]) -> dict[str, str]:
    """A front-end whose VM 7 and datastores carry what users may write there."""
    vm = f"<VM><ID>7</ID><NAME>v</NAME><TEMPLATE>{disk(disk_more)}</TEMPLATE><USER_TEMPLATE/></VM>"
    texts = {
        "vm.info": vm,
        "datastore.info": datastore(datastore_more),
        "imagepool.info": "<IMAGE_POOL/>",
        "image.update": "7",
    }
    return {method: text.encode("utf-8", "replace").decode() for method, text in texts.items()}


@cache
def wanted(executable: Path) -> list[str]:
    """Names of an action's arguments, as it tells one who gives none."""
    said = play(executable, [], driver_data({"PATH": "one/one-1"}, {}), World())
    match = re.search(r"expected: ([A-Z_ ]+)\.", said.err)
    return match[1].split() if match else []


def plain(executable: Path) -> list[str]:
    """Arguments that are in order."""
    return [PLAIN.get(name, "1") for name in wanted(executable)]


def is_clean(outcome: Outcome) -> None:
    """An answer, or one plain sentence of bounded length; nothing went out that must not."""
    assert outcome.violations == []
    said = [line for line in outcome.err.split("\n") if line and not line.startswith("WARN: ")]
    assert "unexpectedly" not in outcome.err and not any(line.startswith("DEBUG: ") for line in said), (
        outcome.err
    )
    if outcome.code == 0:
        assert said == []
        return
    assert outcome.code is not None and len(said) == 1 and len(said[0]) <= LONGEST_SENTENCE, outcome.err
    assert said[0].isprintable() and not re.match(r"(ERROR|INFO|WARN|DEBUG): |Traceback", said[0]), (
        outcome.err
    )


def test_every_action_says_what_arguments_it_wants() -> None:
    assert len(EXECUTABLES) > 10
    assert [path.name for path in EXECUTABLES if not wanted(path)] == []


each_action = pytest.mark.parametrize(
    "action", EXECUTABLES, ids=lambda path: f"{path.parent.parent.name}-{path.name}"
)


@each_action
@settings(max_examples=8 * MORE)
@given(
    noise=st.binary(max_size=300) | st.binary(max_size=300).map(base64.b64encode) | st.sampled_from(BROKEN)
)
def test_broken_driver_data(action: Path, noise: bytes) -> None:
    is_clean(play(action, plain(action), noise, World(answers={"vm.info": "<VM", "datastore.info": BILLION})))


@each_action
@settings(max_examples=18 * MORE)
@given(data=st.data())
def test_hostile_arguments(action: Path, data: st.DataObject) -> None:
    argv = plain(action)
    for _ in range(data.draw(st.integers(1, 2))):
        argv[data.draw(st.integers(0, len(argv) - 1))] = data.draw(WORDS)
    if data.draw(st.booleans()):
        argv = data.draw(st.sampled_from((argv[:-1], [*argv, data.draw(WORDS)], argv[1:], [])))
    world = World(answers=front_end({}, {}), images_exist=data.draw(st.booleans()))
    is_clean(play(action, argv, driver_data({}, {}), world))


@each_action
@settings(max_examples=18 * MORE)
@given(data=st.data())
def test_hostile_attributes_of_images_disks_and_datastores(action: Path, data: st.DataObject) -> None:
    some = st.dictionaries(st.sampled_from(KEYS), WORDS, max_size=2)
    image = data.draw(st.dictionaries(st.sampled_from([*KEYS, "ID", "NAME", "PATH"]), WORDS, max_size=2))
    store = data.draw(some)
    world = World(answers=front_end(data.draw(some), store), images_exist=data.draw(st.booleans()))
    is_clean(play(action, plain(action), driver_data(image, store), world))


@each_action
@settings(max_examples=4 * MORE)
@given(word=WORDS)
@example(word="A" * 4096)
def test_every_attribute_hostile_at_once(action: Path, word: str) -> None:
    every = dict.fromkeys(KEYS, word)
    is_clean(play(action, plain(action), driver_data(every, every), World(answers=front_end(every, every))))


@pytest.mark.parametrize("argv, stdin", [
    ([], b""), (["$(id)", "a\nb", "A" * 4096, "-rf", "\udcff", "x"], base64.b64encode(BILLION.encode())),
])
def test_the_real_executables_answer_with_one_line(tmp_path: Path, argv: list[str], stdin: bytes) -> None:
    """A sample through the real thing: one line, no traceback, nothing remains but the log."""
    here = str(tmp_path)
    environment = {
        "ONE_LOCATION": here,
        "ONE_XMLRPC": "http://127.0.0.1:9/RPC2",
        "HOME": here,
        "PYTHONPATH": str(REPO),
    }
    running = [
        Popen(
            [sys.executable, str(path), *argv],
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=here,
            env=environment,
        )
        for path in EXECUTABLES[:: 3 if argv else 2]
    ]
    for process in running:
        with process:
            _, err = process.communicate(stdin, timeout=300)
        is_clean(Outcome(process.returncode, "", err.decode(), []))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"var/onedr/onedr.log", "var/onedr/onedr.log.lock"}
