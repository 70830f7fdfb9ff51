"""oned.conf and vmm_execrc: what is added, what stays, what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.install import execrc, oned_conf, release
from onedr.install.lens import Node, parse
from onedr.model.errors import InputError
from onedr.opennebula import own_marks

ROOT = Path(__file__).parents[2]
LENSES = str(ROOT / "share/augeas")
SAMPLES = os.environ.get("ONED_CONF_SAMPLES", "")

SMALL = b"""\
# A small front-end \xe2\x80\x94 by hand
PORT = 2633   # where it listens
DB = [ BACKEND = "mysql",
       PASSWD  = "s3cret\\"quote" ]

TM_MAD = [
    EXECUTABLE = "one_tm",
    ARGUMENTS  = "-t 15 -d dummy,ssh,ceph"  # the list
]
DATASTORE_MAD = [
    EXECUTABLE = "one_datastore",
    ARGUMENTS  = "-t 15 -d dummy,fs,ceph -s shared,ssh,ceph"
]

INHERIT_DATASTORE_ATTR  = "CEPH_HOST"
INHERIT_DATASTORE_ATTR  = "POOL_NAME"   # of the pool
INHERIT_IMAGE_ATTR      = "DISK_TYPE"

TM_MAD_CONF = [ NAME = "ssh", LN_TARGET = "SYSTEM" ]

TM_MAD_CONF = [
    NAME = "ceph", LN_TARGET = "NONE",   CLONE_TARGET = "SELF"
]   # stock

DS_MAD_CONF = [ NAME = "ceph", REQUIRED_ATTRS = "DISK_TYPE,BRIDGE_LIST" ]

DEFAULT_UMASK = 177
"""


def registered(text: bytes) -> bytes:
    return oned_conf.register_driver(text, "oned.conf", LENSES)


def unregistered(text: bytes) -> bytes:
    return oned_conf.unregister_driver(text, "oned.conf", LENSES)


def nodes(text: bytes) -> tuple[Node, ...]:
    return parse(text, oned_conf.LENS, "oned.conf", LENSES)


def section(text: bytes, name: str) -> dict[str, str]:
    """The attributes of our section of that kind."""
    found = [n for n in nodes(text) if n.name == name and n.text_of("NAME") == "ceph_dr"]
    assert len(found) == 1
    return {c.name: c.value for c in found[0].children}


# -- what is added ------------------------------------------------------------------------------------


def test_driver_lists() -> None:
    text = registered(SMALL)
    assert b'"-t 15 -d dummy,ssh,ceph,ceph_dr"  # the list' in text
    assert b'"-t 15 -d dummy,fs,ceph,ceph_dr -s shared,ssh,ceph,ceph_dr"' in text


def test_sections_have_what_stock_ceph_has_and_serve_stock_system_datastores() -> None:
    tm = section(registered(SMALL), "TM_MAD_CONF")
    assert tm == dict(oned_conf.TM_MAD_CONF)
    assert (tm["SHARED"], tm["ALLOW_ORPHANS"], tm["DS_MIGRATE"]) == ("YES", "mixed", "NO")
    assert (tm["TM_MAD_SYSTEM"], tm["DISK_TYPE_CEPH"]) == ("ssh,ceph", "RBD")
    assert section(registered(SMALL), "DS_MAD_CONF")["REQUIRED_ATTRS"] == "DISK_TYPE"


def test_inherited_attributes_follow_those_that_are_there() -> None:
    text = registered(SMALL)
    assert (
        b'INHERIT_IMAGE_ATTR      = "DISK_TYPE"\n'
        b'INHERIT_IMAGE_ATTR  = "DR_PROTECT"\n'
    ) in text


def test_our_own_marks_are_restricted_after_those_that_are() -> None:
    text = SMALL + b'VM_RESTRICTED_ATTR = "RAW/DATA"   # theirs\nVM_RESTRICTED_ATTR = "DR_ORIGIN"\nVNC_PORTS = [ START = 1 ]\n'
    found = [(node.name, node.value) for node in nodes(registered(text)) if node.name.endswith("RESTRICTED_ATTR")]
    for name, marks in own_marks.RESTRICTED.items():
        values = [value for key, value in found if key == name]
        assert sorted(values) == sorted({*marks, *(["RAW/DATA"] if name.startswith("VM") else [])})
    assert b'"DR_ORIGIN"\nVM_RESTRICTED_ATTR  = "DR_ORIGIN_SITE"\n' in registered(text)
    free = {"DR_PROTECT", "DR_PRIORITY", "DR_DELAY", "DR_START"}  # users' own
    assert not free & {mark for marks in own_marks.RESTRICTED.values() for mark in marks}


def test_only_lines_are_added_and_the_lists_changed() -> None:
    before, after = SMALL.splitlines(), registered(SMALL).splitlines()
    gone = [line for line in before if line not in after]
    assert len(gone) == 2 and all(b"ARGUMENTS" in line for line in gone)


def test_long_options_and_forms_without_blank() -> None:
    text = SMALL.replace(b'-d dummy,ssh,ceph"', b'--tm-types=dummy,ceph"')
    text = text.replace(b"-d dummy,fs,ceph -s shared", b"-ddummy,fs,ceph --system-ds-types shared")
    changed = registered(text)
    assert b'--tm-types=dummy,ceph,ceph_dr"' in changed
    assert b"-ddummy,fs,ceph,ceph_dr --system-ds-types shared,ssh,ceph,ceph_dr" in changed
    assert unregistered(changed) == text


def test_a_transfer_driver_without_list_takes_every_folder() -> None:
    text = SMALL.replace(b"-t 15 -d dummy,ssh,ceph", b"-t 15")
    assert unregistered(registered(text)) == text


def test_sections_of_an_earlier_release_are_brought_up_to_date() -> None:
    old = registered(SMALL).replace(b'"ssh,ceph"', b'"ssh"').replace(b'"mixed",', b'"no",\n    EXTRA = "1",')
    tm = section(registered(old), "TM_MAD_CONF")
    assert tm == {**oned_conf.TM_MAD_CONF, "EXTRA": "1"}


def test_a_file_without_any_of_our_sections_or_last_line_end() -> None:
    text = SMALL[: SMALL.index(b"INHERIT")].rstrip(b"\n")
    changed = registered(text)
    assert section(changed, "TM_MAD_CONF") and section(changed, "DS_MAD_CONF")
    assert registered(changed) == changed
    assert unregistered(changed) == text


def test_bytes_of_no_encoding_stay() -> None:
    text = SMALL.replace(b"by hand", b"\xff\xfe\xe4")
    assert b"\xff\xfe\xe4" in registered(text)
    assert unregistered(registered(text)) == text


# -- twice, and back ----------------------------------------------------------------------------------


def test_twice_is_once() -> None:
    assert registered(registered(SMALL)) == registered(SMALL)


def test_back_to_the_byte() -> None:
    assert unregistered(registered(SMALL)) == SMALL
    assert unregistered(SMALL) == SMALL


def test_others_changes_survive_the_way_back() -> None:
    changed = registered(SMALL) + b'TM_MAD_CONF = [ NAME   =  "mine" ]\n'
    changed = changed.replace(b"-d dummy,ssh,ceph,ceph_dr", b"-d dummy,ssh,ceph,ceph_dr,mine")
    assert unregistered(changed) == (
        SMALL.replace(b"-d dummy,ssh,ceph", b"-d dummy,ssh,ceph,mine")
        + b'TM_MAD_CONF = [ NAME   =  "mine" ]\n'
    )


BLANKS = st.sampled_from(["", " ", "\t", "   "])
GAP = st.lists(st.sampled_from(["\n", " ", "\t", '# some [ = " , comment\n', "#\n"]), max_size=4).map("".join)
NAME = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,12}\Z").filter(lambda n: n not in (*oned_conf.LISTS, "ARGUMENTS"))
WORD = st.from_regex(r"\A[a-z0-9/.:*-][a-z0-9/.:\"*-]{0,10}\Z")
QUOTED = st.text(st.sampled_from("ab ,=#[]\n\u00e9"), max_size=12).map(lambda t: f'"{t}"')
VALUE = st.one_of(WORD, QUOTED, st.just('"a \\"b\\" c"'))
PAIR = st.tuples(NAME, BLANKS, BLANKS, VALUE).map(lambda p: f"{p[0]}{p[1]}={p[2]}{p[3]}")
VECTOR = st.tuples(NAME, GAP, st.lists(st.tuples(PAIR, GAP, GAP), max_size=4), GAP).map(
    lambda v: f"{v[0]} = [{v[1]}" + ",".join(f"{g}{p}{h}" for p, g, h in v[2]) + f"{v[3]}]"
)
KNOWN = st.sampled_from(
    [
        'TM_MAD_CONF = [ NAME = "other" ]',
        'TM_MAD_CONF=[NAME="x",\n  LN_TARGET="NONE"\n\n]',
        'DS_MAD_CONF = [ NAME = "fs" ]',
        'INHERIT_IMAGE_ATTR = "DISK_TYPE"',
    ]
)
EMPTY = st.tuples(NAME, BLANKS, BLANKS).map(lambda e: f"{e[0]}{e[1]}={e[2]}")
ENTRIES = st.lists(st.tuples(st.one_of(PAIR, EMPTY, VECTOR, KNOWN), GAP), max_size=8)
MANDATORY = (
    'TM_MAD = [ ARGUMENTS = "-t 1 -d ceph" ]\n\nDATASTORE_MAD = [ ARGUMENTS = "-d fs,ceph -s ceph,ssh" ]\n'
)


@given(ENTRIES, ENTRIES)
def test_any_file_of_the_grammar(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    def joined(entries: list[tuple[str, str]]) -> str:
        return "".join(f"{entry}\n{gap}" for entry, gap in entries)

    text = (joined(before) + "\n" + MANDATORY + joined(after)).encode()
    once = registered(text)
    assert registered(once) == once
    assert unregistered(once) == text
    assert section(once, "TM_MAD_CONF") and section(once, "DS_MAD_CONF")


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (SMALL.replace(b'"one_tm",', b'"one_tm"'), 6),
        (SMALL.replace(b"DEFAULT_UMASK = 177", b"DEFAULT_UMASK == 177"), 27),
        (SMALL.replace(b"]   # stock", b"   # stock"), 21),
        (SMALL.replace(b'"CEPH_HOST"', b'"CEPH_HOST'), 15),
        (SMALL.replace(b"PORT = ", b"PORT\0= "), 2),
    ],
)
def test_a_broken_file_is_refused_with_its_line(broken: bytes, line: int) -> None:
    with pytest.raises(InputError, match=rf"oned\.conf, line {line}:"):
        registered(broken)


def test_a_refusal_shows_no_value() -> None:
    with pytest.raises(InputError) as refusal:
        registered(SMALL.replace(b'"mysql",', b'"mysql"').replace(b"PORT", b"SECRET = hush = 1\nPORT"))
    assert "hush" not in str(refusal.value) and "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"PORT = 2633\n", "has no TM_MAD"),
        (SMALL.replace(b" -s shared,ssh,ceph", b""), "no option -s"),
        (SMALL.replace(b'    ARGUMENTS  = "-t 15 -d dummy,ssh,ceph"', b"    OTHER = 1"), "no ARGUMENTS"),
    ],
)
def test_a_file_oned_could_not_use_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        registered(text)


# -- vmm_execrc ---------------------------------------------------------------------------------------

RC = b"""\
# pairs
LIVE_DISK_SNAPSHOTS="kvm-qcow2 kvm-ceph qemu-ceph qemu-ssh"

# others
VNMAD_LOCAL_ACTIONS="elastic-post elastic-clean"
"""


def test_pairs_follow_the_stock_pairs() -> None:
    text = execrc.register_execrc(RC, "vmm_execrc")
    assert b'qemu-ssh kvm-ceph_dr qemu-ceph_dr"\n' in text
    assert b"lxc" not in text
    assert execrc.register_execrc(text, "vmm_execrc") == text
    assert execrc.unregister_execrc(text, "vmm_execrc") == RC


SEVERAL = b'''\
LIVE_DISK_SNAPSHOTS="kvm-ceph"
if [ -n "$LAB" ]; then
    # of the lab
    LIVE_DISK_SNAPSHOTS="qemu-ceph"
else
    export LIVE_DISK_SNAPSHOTS="lxc-ceph kvm-qcow2"
fi
LIVE_DISK_SNAPSHOTS="$LIVE_DISK_SNAPSHOTS kvm-mine"
'''


@pytest.mark.parametrize(
    ("lab", "wanted"), [("yes", "qemu-ceph qemu-ceph_dr"), ("", "lxc-ceph kvm-qcow2 lxc-ceph_dr")]
)
def test_each_line_that_a_shell_may_take_is_edited(tmp_path: Path, lab: str, wanted: str) -> None:
    text = execrc.register_execrc(SEVERAL, "rc")
    (tmp_path / "rc").write_bytes(text)
    shell = ["bash", "-c", '. "$1"; echo "$LIVE_DISK_SNAPSHOTS"', "-", str(tmp_path / "rc")]
    seen = subprocess.run(shell, capture_output=True, text=True, check=True, env={**os.environ, "LAB": lab}).stdout
    assert seen == f"{wanted} kvm-mine\n"
    assert execrc.register_execrc(text, "rc") == text
    assert execrc.unregister_execrc(text, "rc") == SEVERAL


def test_what_an_earlier_release_left_in_one_line_only_is_completed_and_taken_back() -> None:
    first, last = b'LIVE_DISK_SNAPSHOTS="kvm-ceph"\n', b'LIVE_DISK_SNAPSHOTS="qemu-ceph"\n'
    earlier = first.replace(b'ceph"', b'ceph kvm-ceph_dr"') + last
    assert execrc.register_execrc(earlier, "rc") == execrc.register_execrc(first + last, "rc")
    assert execrc.unregister_execrc(earlier, "rc") == first + last


def test_a_file_without_the_variable_stays() -> None:
    assert execrc.register_execrc(b"A=1\n", "vmm_execrc") == b"A=1\n"


def test_a_list_without_quotes_is_refused() -> None:
    with pytest.raises(InputError, match="no quotes"):
        execrc.register_execrc(b"LIVE_DISK_SNAPSHOTS=kvm-ceph\n", "vmm_execrc")


# -- the lens, and files of real releases -------------------------------------------------------------


@pytest.mark.skipif(
    not shutil.which("augparse"), reason="augparse is not installed (apt install augeas-tools)"
)
def test_the_lens_passes_its_own_tests_and_the_type_checker() -> None:
    done = subprocess.run(
        ["augparse", "-I", LENSES, f"{LENSES}/tests/test_onedr_oned.aug"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parent / "grammar").glob("*.conf")), ids=lambda file: file.stem
)
def test_files_in_the_grammar_of_each_release(file: Path) -> None:
    """Read entry by entry, registered, twice as once, and back to the byte; nothing but ours differs."""
    text = file.read_bytes()
    before = nodes(text)
    assert {"TM_MAD", "HM_MAD", "VM_USE_OPERATIONS"} <= {node.name for node in before}
    database = next(node for node in before if node.name == "DB")
    assert database.text_of("PASSWD") == 'with "quotes" and # no comment'
    once = registered(text)
    assert section(once, "TM_MAD_CONF") == dict(oned_conf.TM_MAD_CONF)
    assert section(once, "DS_MAD_CONF") == dict(oned_conf.DS_MAD_CONF)
    assert once.count(b",ceph_dr") == 3 and once.count(b'"DR_PROTECT"') == 1
    assert registered(once) == once
    assert unregistered(once) == text


def test_the_releases_with_a_file_are_those_that_are_known() -> None:
    assert sorted(file.stem for file in (Path(__file__).parent / "grammar").glob("*.conf")) == sorted(
        release.KNOWN
    )


@pytest.mark.skipif(
    not SAMPLES, reason="ONED_CONF_SAMPLES names no folder with oned.conf files of real releases"
)
def test_files_of_real_releases() -> None:
    """OpenNebula's own files are not in this repository: `git show release-7.4.0:share/etc/oned.conf`."""
    files = sorted(Path(SAMPLES).glob("oned*.conf"))
    assert files
    for file in files:
        text = file.read_bytes()
        once = registered(text)
        assert registered(once) == once != text
        assert unregistered(once) == text
    for file in Path(SAMPLES).glob("vmm_execrc*"):
        text = file.read_bytes()
        assert execrc.unregister_execrc(execrc.register_execrc(text, "rc"), "rc") == text
