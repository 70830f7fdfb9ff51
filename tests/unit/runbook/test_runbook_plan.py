"""A run book: what it prints can be pasted, in an order that is safe, and holds no secret."""
from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from samples import HERE, THERE, disk, envelope, image, image_record, vm_record
from worlds import WORLDS, copy_of, facts

from onedr.failover.facts import FailoverFacts
from onedr.failover.placement import Placement
from onedr.model import template
from onedr.model.records import ImageFacts, VmRecord
from onedr.model.recovery_plan import Chosen, Gate, Group, RecoveryPlan
from onedr.model.template import Pairs
from onedr.model.types import CephAccess
from onedr.opennebula import vm_locks, vm_template
from onedr.opennebula.nics import Counterparts, Network, Owned, Range
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets
from onedr.runbook import plan as runbook_plan
from onedr.runbook.facts import BookFacts
from onedr.runs.steps import StepKind

NAME = "a'b $(touch pwned) `id`\x9b2J\u202e"
LAN = Network(7, "lan", (Range("192.0.2.10", "", 20),))
NIC = (("NETWORK", "lan"), ("IP", "192.0.2.12"))
ORIGIN = f"{THERE}:42"


def book_facts(known: FailoverFacts, **changes: Any) -> BookFacts:
    values: dict[str, Any] = {
        "datastore_id": 100, "access": CephAccess("one", "libvirt", "/etc/ceph/ceph.conf"), "site": "south",
        "site_index": 1, "made": "today", "users": {"oneadmin": 0, "alice": 3},
        "groups": {"oneadmin": 0, "users": 1},
    }
    return BookFacts(known, **{**values, **changes})


def printed(found: BookFacts) -> list[str]:
    plan = runbook_plan.plan_of(found)
    assert not plan.refusal, plan.refusal
    return list(runbook_plan.lines_of(found, plan))


def to_run(lines: list[str]) -> str:
    """The blocks for this site, as one script."""
    text = "\n".join(lines) + "\n"
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.S | re.M))


def web(**changes: Any) -> VmRecord:
    values: dict[str, Any] = {
        "name": NAME, "disks": (disk(0, "one/one-1"), disk(1, "one/one-2-42-1", clone=True)),
        "template": (
            ("CPU", "1"), ("MEMORY", "512"), ("DISK", (("DISK_ID", "0"), ("SOURCE", "one/one-1"), ("TARGET", "vda"))),
            ("DISK", (("DISK_ID", "1"), ("SOURCE", "one/one-2-42-1"), ("TARGET", "vdb"))), ("NIC", NIC),
            ("CONTEXT", (("ROLE", "$(id)"),)),
        ),
        "user_template": (("NOTE", "a\nb"), ("DR_PRIORITY", "2")),
    }
    return vm_record(**{**values, **changes})


def images_of(record: VmRecord) -> tuple[ImageFacts, ...]:
    return (
        copy_of("one-1", record, snapshots=frozenset({"0", "3"})),
        copy_of("one-2-42-1", record, known=False, parent="one-2", snapshots=frozenset()),
        image("one-2", image=envelope(image_record(name="base", persistent=False)), snapshots=frozenset()),
    )


def known(record: VmRecord | None = None, **changes: Any) -> BookFacts:
    ground = Placement(Counterparts({"lan": LAN}))
    return book_facts(facts(*images_of(record or web()), ground=ground), **changes)


FAKE = """\
#!/bin/sh
# Notes how it was called, and prints an id as the real one does.
printf '%s' "${0##*/}" >> "$CALLS"
for word; do printf ' <%s>' "$word" >> "$CALLS"; done
echo >> "$CALLS"
case "$1" in create) echo "ID: $(grep -c create "$CALLS")"; for file; do cp "$file" "$CALLS.$(grep -c create "$CALLS")" 2>/dev/null; done ;; esac
exit 0
"""


def run(script: str, folder: Path, complaints: bool = False) -> list[str]:
    """Paste it into a shell in which the programs only note what they were asked for."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("rbd", "rados", "ceph", "onevm", "oneimage", "onedatastore", "sleep", "timeout"):
        path = programs / name
        path.write_text(FAKE if name != "timeout" else '#!/bin/sh\nshift\nexec "$@"\n')
        path.chmod(0o755)
    calls = folder / "calls"
    calls.touch()
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "CALLS": str(calls)}
    done = subprocess.run(["sh"], input=script, text=True, capture_output=True, env=env, cwd=folder, timeout=60)
    assert done.returncode == 0 and bool(done.stderr) == complaints, done.stderr
    return calls.read_text().splitlines()


def test_what_is_printed_does_what_it_says(tmp_path: Path) -> None:
    calls = run(to_run(printed(known())), tmp_path)
    promoted = [re.findall(r"<(one/[^>]*)>", call)[0] for call in calls if "<promote>" in call]
    assert promoted == ["one/one-1", "one/one-2", "one/one-2-42-1"], "bases before clones"
    assert all("<--force>" in call and "<--id> <libvirt>" in call for call in calls if "<promote>" in call)
    order = [next(at for at, call in enumerate(calls) if text in call) for text in (
        "onedatastore", "rmomapkey", "<promote>", "oneimage <create>", "onevm <create>", "onevm <release>")]
    assert order == sorted(order)
    assert "onevm <chown> <3> <3> <1>" in calls and "onevm <chmod> <3> <600>" in calls, calls
    assert "onevm <release> <3>" in calls
    assert not list(tmp_path.rglob("pwned"))


def test_a_vm_gets_its_images_by_the_ids_they_were_given(tmp_path: Path) -> None:
    run(to_run(printed(known())), tmp_path)
    made = template.from_element(template.parse_xml((tmp_path / "calls.3").read_text()))
    assert [template.get(each, "IMAGE_ID") for each in template.vectors(made, "DISK")] == ["1", "2"]
    assert [template.get(each, "TARGET") for each in template.vectors(made, "DISK")] == ["vda", "vdb"]
    assert template.get(made, "NAME") == NAME
    assert template.get(next(template.vectors(made, "NIC")), "IP") == "192.0.2.12"


def test_onedr_can_tell_that_each_is_whole(tmp_path: Path) -> None:
    """It writes no record of what carries an origin and is not finished: a run may be about to finish it."""
    run(to_run(printed(known())), tmp_path)
    found = [template.parse_xml(each.read_text()) for each in tmp_path.rglob("*.attributes.xml")]
    assert len(found) == 4
    assert not [each for each in found if vm_template.is_half_made(
        (("DR_ORIGIN", "x"), *template.from_element(each)))]


def test_pasting_it_again_makes_nothing_twice(tmp_path: Path) -> None:
    script = to_run(printed(known()))
    run(script, tmp_path)
    calls = run(script, tmp_path)
    assert sum("<create> <--hold>" in call for call in calls) == 1
    assert sum("oneimage <create>" in call for call in calls) == 3, "of the VM's two and the base"


def test_a_vm_is_not_created_without_an_image_of_its(tmp_path: Path) -> None:
    script = to_run(printed(known())).replace("oneimage create", "false")
    assert not [call for call in run(script, tmp_path, True) if call.startswith("onevm <create>")]


def test_a_base_stands_under_a_name_of_this_site() -> None:
    text = "\n".join(printed(known()))
    assert "snap create one/one-2@snap" in text and "clone one/one-2@snap one/one-1500000002" in text
    there = known()
    with_snapshot = tuple(
        replace(each, snapshots=frozenset({"snap"})) if each.name == "one-2" else each
        for each in there.failover.images
    )
    text = "\n".join(printed(replace(there, failover=replace(there.failover, images=with_snapshot))))
    assert "snap create" not in text and "snap protect one/one-2@snap" in text


def test_snapshots_of_disks_are_named_with_the_command_that_reverts() -> None:
    lines = printed(known())
    assert any("one-1: snapshot 3" in line for line in lines)
    assert any(line.endswith("snap rollback one/one-1@3") for line in lines)
    assert "rollback" not in to_run(lines), "it is not for now"


def test_no_secret_is_printed_and_it_is_said_where_it_belongs() -> None:
    sealed: Pairs = ((secrets.ENCRYPTED, "c2VhbGVk"), (secrets.WITHHELD, "x"))
    record = web()
    found = known(
        replace(record, template=(*record.template, *sealed), user_template=(*record.user_template, *sealed)),
        secrets={ORIGIN: ("CONTEXT/PASSWORD",)}, unopened={ORIGIN: "why"},
    )
    text = "\n".join(printed(found))
    assert "c2VhbGVk" not in text and secrets.ENCRYPTED not in text and secrets.WITHHELD not in text
    assert "CONTEXT/PASSWORD" in text and 'onevm updateconf "$(cat vm-1.id)"' in text and "why" in text


def test_a_name_that_is_taken_gets_another() -> None:
    lines = printed(known(images=frozenset({(0, "one-1"), (3, "base")})))
    assert "    <NAME>" not in "\n".join(lines)
    named = [line.strip() for line in lines if line.strip() in ("<NAME>one-1-north</NAME>", "<NAME>base-north</NAME>")]
    assert len(named) == 2, lines


def test_the_stock_drivers_get_the_bridge_that_they_need_and_keep_their_own() -> None:
    assert any("<BRIDGE_LIST>localhost<" in line for line in printed(known()))
    lines = printed(known(attributes=(("BRIDGE_LIST", "node1"),)))
    assert not any("<BRIDGE_LIST>" in line for line in lines)
    lines = printed(known(system_datastores=((105, ()),)))
    assert "onedatastore update 105 system-105.xml --append" in lines


def test_what_cannot_come_is_named_first_and_not_made(tmp_path: Path) -> None:
    lost = web(template=(("CPU", "1"), ("NIC", (("NETWORK", "wan"),))))
    lines = printed(known(lost))
    assert lines[lines.index("## 1. Not in this book") + 2].startswith("- VM a'b")
    assert not [call for call in run(to_run(lines), tmp_path) if call.startswith("onevm <create>")]


def test_a_vm_that_comes_home_is_unlocked_and_resumed(tmp_path: Path) -> None:
    record = web(origin=f"{HERE}:9", disks=(disk(0, "one/one-1"),))
    home = PeerVm(9, "web", "POWEROFF", "ACTIVE", frozenset({"one-1"}), locked=True)
    world = facts(copy_of("one-1", record), local={f"{HERE}:9": home}, registered=frozenset({"one-1"}))
    calls = run(to_run(printed(book_facts(world))), tmp_path)
    assert "onevm <unlock> <9>" in calls and "onevm <resume> <9>" in calls
    assert not [call for call in calls if "<create>" in call]


def test_security_groups_of_the_network_here_are_taken_off_where_the_nic_has_its_own(tmp_path: Path) -> None:
    lan = replace(LAN, attributes={"SECURITY_GROUPS": "0,104"})
    own = Counterparts({"lan": lan}, security_groups={"web": (Owned(105, "alice"),)})
    nic = (*NIC, ("SECURITY_GROUP_NAMES", "web"), ("SECURITY_GROUPS", "7"))
    record = web(template=(("CPU", "1"), ("NIC", NIC), ("NIC", nic)))
    world = facts(*images_of(record), ground=Placement(own))
    calls = run(to_run(printed(book_facts(world))), tmp_path)
    assert [call for call in calls if "sg-detach" in call] == [
        "onevm <sg-detach> <3> <1> <0>", "onevm <sg-detach> <3> <1> <104>",
    ], calls


@pytest.mark.parametrize(("level", "option"), [("1", "--use"), ("3", "--admin")])
def test_a_users_lock_is_put_on_at_the_end(level: str, option: str) -> None:
    record = web()
    lines = printed(known(replace(record, template=(*record.template, (vm_locks.RECORDED, level)))))
    assert any(line.startswith(f'onevm lock "$(cat vm-1.id)" {option}') for line in lines)
    assert not any("onevm lock \"" in line for line in printed(known()))


def test_a_vm_that_cannot_be_written_takes_no_other_with_it(tmp_path: Path) -> None:
    bad = web(vm_id=1, name="bad\x1b", disks=(disk(0, "one/one-8"),), user_template=(), template=())
    good = web(vm_id=2, name="good", disks=(disk(0, "one/one-9"),), user_template=(), template=())
    lines = printed(book_facts(facts(copy_of("one-8", bad), copy_of("one-9", good))))
    assert any("It is not in this book" in line for line in lines)
    calls = run(to_run(lines), tmp_path)
    assert sum(call.startswith("onevm <create>") for call in calls) == 1
    assert sum(call.startswith("onevm <release>") for call in calls) == 1


def test_vms_start_by_priority_each_with_its_delay(tmp_path: Path) -> None:
    first = web(vm_id=1, name="first", disks=(disk(0, "one/one-8"),), user_template=(("DR_PRIORITY", "1"),), template=())
    late = web(vm_id=2, name="late", disks=(disk(0, "one/one-9"),), user_template=(("DR_DELAY", "7s"),), template=())
    off = web(vm_id=3, name="off", disks=(disk(0, "one/one-7"),), state="POWEROFF", template=())
    world = facts(copy_of("one-9", late), copy_of("one-8", first), copy_of("one-7", off), delay_s=30)
    lines = printed(book_facts(world))
    calls = run(to_run(lines), tmp_path)
    # ids by order of creation: each VM after its image
    assert [call for call in calls if "release" in call or "sleep" in call] == [
        "onevm <release> <2>", "sleep <7>", "onevm <release> <6>",
    ]
    assert any("stay on hold: off" in line for line in lines)


def test_vms_start_by_the_recovery_plan_and_one_in_doubt_is_said(tmp_path: Path) -> None:
    app = web(vm_id=1, name="app", disks=(disk(0, "one/one-8"),), template=())
    base = web(vm_id=2, name="db", disks=(disk(0, "one/one-9"),), template=())
    plan = RecoveryPlan((Group("data", ("db",), gate=Gate(5432, 60), delay_s=9), Group("app", ("app",), after=("data",))))
    world = facts(copy_of("one-9", base), copy_of("one-8", app), recovery=Chosen("tiers", 1, plan))
    lines = printed(book_facts(world))
    text = "\n".join(lines)
    data, gate, wait, then = (text.index(words) for words in ("Group data.", "Gate: wait until 1 VM", "Wait 9 s before", "Group app. When"))
    assert data < gate < wait < then
    doubted = printed(book_facts(replace(world, recovery=Chosen("tiers", doubt="it is forged."))))
    assert any("The recovery plan is not followed: it is forged" in line for line in doubted)
    assert any(line.startswith("Priority ") for line in doubted)


@pytest.mark.parametrize(("changes", "why"), [
    ({"interrupted": True}, "interrupted"), ({"protected": False}, "not protected"),
    ({"images": (image("one-1", primary=True),)}, "Nothing to take over"),
])
def test_where_there_is_nothing_to_recover_it_says_why(changes: dict[str, Any], why: str) -> None:
    found = known()
    found = replace(found, failover=replace(found.failover, **changes))
    assert why in runbook_plan.plan_of(found).refusal


@given(WORLDS)
@settings(deadline=None)
def test_of_every_world_nothing_is_promoted_that_must_not_be(world: FailoverFacts) -> None:
    ids = {name: number for number, name in enumerate(sorted(world.registered))}
    found = book_facts(replace(world, ground=Placement(registered=ids)))
    plan = runbook_plan.plan_of(found)
    if plan.refusal:
        return
    lines = runbook_plan.lines_of(found, plan)
    assert all(line.isprintable() for line in lines)
    script = to_run(list(lines))
    promoted = re.findall(r"image promote --force one/(\S+)", script)
    by_name = {each.name: each for each in world.images}
    assert len(set(promoted)) == len(promoted)
    for place, name in enumerate(promoted):
        assert by_name[name].complete and not by_name[name].stale and not by_name[name].primary
        parent = by_name[name].parent
        assert parent not in promoted[place + 1 :] or parent == name or _ring(by_name, name)
    created = script.count("onevm create")
    assert created == sum(step.kind is StepKind.CREATE for step in plan.steps)


def _ring(by_name: dict[str, ImageFacts], name: str) -> bool:
    """Random parents may form a ring, which Ceph never has."""
    seen, at = set(), name
    while at in by_name and at not in seen:
        seen.add(at)
        at = by_name[at].parent or ""
    return at in seen
