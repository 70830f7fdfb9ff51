"""What a run made is known by the pool's ledger and the objects' real disks, never by what users can write.
"""
from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from samples import THERE, envelope, vm_record

from onedr.failover import adopt_marks, failback_plan, target_site
from onedr.model.records import ImageFacts
from onedr.model.types import Settings
from onedr.opennebula import objects
from onedr.opennebula.vms import PeerVm
from onedr.replication import ledger
from onedr.replication.inventory import VmItem
from onedr.replication.ledger import Entry, Ledger

VICTIM = f"{THERE}:7"
EMPTY = Ledger({}, {}, {})
NAMES = st.sampled_from(["one-1", "one-2", "one-3", "one-1-7-0"])


class FakePool:
    """Only what names a pool."""

    class access:
        pool = "one"

    def fsid(self) -> str:
        return "here"


def vm(vm_id: int, *disks: str, **marks: str) -> etree._Element:
    shown = "".join(
        f"<DISK><DISK_ID>{n}</DISK_ID><IMAGE_ID>{n}</IMAGE_ID><SOURCE>one/{name}</SOURCE><TYPE>RBD</TYPE>"
        "<DATASTORE_ID>100</DATASTORE_ID></DISK>" for n, name in enumerate(disks)
    )
    user = "".join(f"<{key}>{value}</{key}>" for key, value in marks.items())
    rights = "".join(
        f"<{who}_{what}>1</{who}_{what}>" for who in ("OWNER", "GROUP", "OTHER") for what in "UMA"
    )
    return etree.fromstring(
        f"<VM><ID>{vm_id}</ID><NAME>n</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>3</STATE><LCM_STATE>3</LCM_STATE>"
        f"<PERMISSIONS>{rights}</PERMISSIONS><TEMPLATE>{shown}</TEMPLATE><USER_TEMPLATE>{user}</USER_TEMPLATE></VM>"
    )


@pytest.mark.parametrize("marks", [
    {"DR_ORIGIN": VICTIM}, {"DR_ORIGIN": VICTIM, "DR_FINISHED": "YES"},
    {"DR_ORIGIN": VICTIM, "DR_FINISHED": "YES", "DR_HELD": "ACTIVE", "DR_START_PENDING": "YES"},
    {ledger.TOKEN: ""}, {ledger.TOKEN: "guessed"},
])
def test_a_users_marks_do_not_make_his_vm_another_users(marks: dict[str, str]) -> None:
    known = replace(EMPTY, pending={VICTIM: "a-word-nobody-knows"})
    attacker = vm(3, "one-9", **marks)
    assert target_site.recovered([attacker], FakePool(), known) == {}  # type: ignore[arg-type]
    assert set(target_site.local([attacker], FakePool(), known)) == {"here:3"}  # type: ignore[arg-type]


@pytest.mark.parametrize("marks", [
    {"DR_ORIGIN_SOURCE": "one-2"}, {"DR_ORIGIN_SOURCE": "one-2", "DR_ORIGIN": VICTIM, "DR_FINISHED": "YES"}, {ledger.TOKEN: "guessed"},
])
def test_a_users_marks_do_not_make_his_image_stand_for_anothers(
    monkeypatch: pytest.MonkeyPatch, marks: dict[str, str]
) -> None:
    """Neither now, nor when objects of an earlier release are taken over."""
    own = "".join(f"<{key}>{value}</{key}>" for key, value in marks.items())
    image = etree.fromstring(f"<IMAGE><ID>8</ID><TYPE>0</TYPE><SOURCE>one/one-9</SOURCE><TEMPLATE>{own}</TEMPLATE></IMAGE>")
    frontend: Any = SimpleNamespace(
        user_pool=lambda: etree.Element("P"), group_pool=lambda: etree.Element("P"), images=lambda: [image],
        vms=list, networks=list, security_groups=list, vm_groups=list,
    )
    assert adopt_marks._images(frontend, "one", 0) == {}
    monkeypatch.setattr(adopt_marks, "adopt", lambda *_: None)
    monkeypatch.setattr(ledger, "read_ledger", lambda _: replace(EMPTY, pending={f"{VICTIM} one-2": "a-word"}))
    site = target_site.survey(frontend, 100, FakePool(), Settings())  # type: ignore[arg-type]
    assert site.images == {"one-9": 8} and not site.half_images


def test_what_a_run_made_is_known_without_any_mark() -> None:
    known = replace(EMPTY, vms={3: Entry(VICTIM, ("one-1",), finished=True)})
    found = target_site.recovered([vm(3, "one-1")], FakePool(), known)  # type: ignore[arg-type]
    assert found[VICTIM].vm_id == 3 and found[VICTIM].finished


def test_vms_of_another_datastore_in_the_pool_are_another_runs() -> None:
    """One that its interrupted run left on hold is not started by ours."""
    other = vm(4, "one-4")
    for disk in other.iterfind("TEMPLATE/DISK/DATASTORE_ID"):
        disk.text = "101"
    found = objects.vms_of_datastore([vm(3, "one-1"), other, vm(5)], 100)
    assert [each.findtext("ID") for each in found] == ["3"]


def test_a_run_that_died_before_it_could_note_a_vm_finds_it_by_the_word_it_carries() -> None:
    known = replace(EMPTY, pending={VICTIM: "word"})
    found = target_site.recovered([vm(3, "one-1", **{ledger.TOKEN: "word"})], FakePool(), known)  # type: ignore[arg-type]
    assert found[VICTIM].vm_id == 3 and not found[VICTIM].finished


@given(st.sets(NAMES, min_size=1), st.sets(NAMES))
def test_an_entry_counts_only_while_the_object_has_one_of_its_disks(noted: set[str], real: set[str]) -> None:
    """Ids begin anew where a front-end was set up anew."""
    known = replace(EMPTY, vms={3: Entry(VICTIM, tuple(noted))})
    assert (known.vm(3, real) is not None) == bool(noted & real)
    assert known.vm(4, real) is None


def test_a_record_does_not_bring_a_vm_home_into_another_vm() -> None:
    """A forged origin in a record: the VM of this site that it names has none of its disks."""
    record = vm_record(vm_id=5, origin="here:9")
    image = ImageFacts("one-5", "id", 1, None, False, True, 1.0)
    item = VmItem(f"{THERE}:5", envelope(record), record, (image,), (), ())
    other = PeerVm(9, "victim", "POWEROFF", "", frozenset({"one-1"}))
    assert failback_plan.homes([item], {"here:9": other}) == {}
    own = replace(other, images=frozenset({"one-5"}))
    assert failback_plan.homes([item], {"here:9": own}) == {item.origin: own}


@pytest.mark.parametrize(
    ("origin", "disks", "agrees"),
    [
        (VICTIM, {"one-1"}, True),
        (VICTIM, {"one-1-7-0"}, True),
        (f"{THERE}:8", {"one-1-7-0"}, False),
        ("other:7", {"one-1"}, False),
        (VICTIM, {"one-9"}, False),
        (VICTIM, set(), False),
        ("", {"one-1"}, False),
    ],
)
def test_marks_of_an_earlier_release_count_where_the_disks_agree(
    origin: str, disks: set[str], agrees: bool
) -> None:
    taken = {name: Entry(VICTIM, (name,)) for name in ("one-1", "one-1-7-0")}
    assert adopt_marks.agrees(origin, frozenset(disks), taken) is agrees
