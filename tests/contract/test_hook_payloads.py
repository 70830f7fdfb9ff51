"""What hooks are given: the recorded documents, by the events that fire the same hooks here."""
from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from contract_cases import UNSUPPORTED
from contract_cases_ds import image
from contract_cases_vm import allocate, disk
from contract_shapes import WIRE, differences
from contract_site import Event, Site, register_hooks, running_site, until
from lxml import etree

# Names of recorded folders: the label, and what the case was about.
FAILED = "__failed-call"
ARGV = "__arguments-on-argv"
# Recorded objects had lives of their own: these parts are compared with their calls elsewhere.
IGNORED_VM = ("/VM/MONITORING", "/VM/TEMPLATE", "/VM/USER_TEMPLATE", "/VM/HISTORY_RECORDS", "/VM/SNAPSHOTS")
IGNORED_IMAGE = ("/IMAGE/TEMPLATE", "/IMAGE/SNAPSHOTS")
IGNORED_HOST = ("/HOST/HOST_SHARE", "/HOST/TEMPLATE", "/HOST/MONITORING")
EXTRA = "/CALL_INFO/EXTRA"
INJECTION = "hooks/hook-api-injection"
FORGED = ('NOTE="X=1</VALUE></PARAMETER><PARAMETER><POSITION>2</POSITION><TYPE>IN</TYPE><VALUE>0</VALUE></PARAMETER>'
          '<PARAMETER><POSITION>9</POSITION><TYPE>IN</TYPE><VALUE>z"\n')


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, list[Event]]]]:
    """A site in which, once, everything happened that was recorded; and the events by label."""
    with running_site(tmp_path_factory.mktemp("hooks")) as site:
        register_hooks(site)
        happen(site)
        site.settle()
        events = defaultdict(list)
        for event in site.take_events():
            events[event.label].append(event)
        yield site, events


def happen(site: Site) -> None:
    """One of everything."""
    first = image(site, "one", "TYPE=OS\nPATH=/etc/hostname\n")
    image(site, "two", "TYPE=DATABLOCK\nSIZE=8\nPERSISTENT=YES\n")
    image(site, "three", 'TYPE=DATABLOCK\nSOURCE="one/one-1"\nSIZE=8\nFORMAT=raw\nPERSISTENT=YES\n')
    _image_events(site, first)
    _datastore_events(site)
    oid = site.wait_vm(allocate(site, "vm", disk(site, "one") + disk(site, "two"), hold=True), 2)
    _act(site, "release", oid, 3, 3)
    _hotplug(site, oid)
    for action, state in (("suspend", 5), ("resume", 3), ("stop", 4), ("resume", 3), ("undeploy", 9), ("resume", 3)):
        _act(site, action, oid, state, 3 if state == 3 else 0)
    _migrate(site, oid)
    _act(site, "poweroff", oid, 8)
    _hotplug_off(site, oid)
    _act(site, "resume", oid, 3, 3)
    _failures(site, oid)
    for state in (2, 0):
        site.must("one.host.status", 2, state)


def _act(site: Site, action: str, oid: int, state: int, lcm_state: int = 0) -> None:
    site.must("one.vm.action", action, oid)
    site.wait_vm(oid, state, lcm_state)


def _image_events(site: Site, first: int) -> None:
    clone = site.must("one.image.clone", first, "copy", -1)
    site.wait_image(clone)
    site.must("one.image.enable", clone, False)
    site.must("one.image.enable", clone, True)
    call: tuple[Any, ...]
    for call in (("lock", 1, False), ("unlock",), ("persistent", True), ("rename", "copy2")):
        site.must(f"one.image.{call[0]}", clone, *call[1:])
    site.must("one.image.update", clone, FORGED, 1)
    site.answer("datastore-rm", "exit 1")
    site.must("one.image.delete", clone, False)
    site.wait_image(clone, "ERROR")
    site.answer("datastore-rm", None)
    site.must("one.image.delete", clone, False)
    site.wait_image(clone, "GONE")
    for call in (("delete", 99, False), ("enable", 99, True), ("persistent", 99, True), ("snapshotdelete", first, 7),
                 ("snapshotflatten", first, 7), ("allocate", "NAME=one\nTYPE=OS\nSIZE=1\n", 102, False)):
        assert not site.call(f"one.image.{call[0]}", *call[1:])[0]
    site.answer("datastore-cp", "exit 1")
    site.must("one.image.delete", image(site, "failed", "TYPE=OS\nPATH=/etc/hostname\n", state="ERROR"), False)
    gate = site.var / "gate"
    site.answer("datastore-cp", f'while [ ! -e "{gate}" ]; do sleep 0.02; done; echo "x/one-$1 raw"')
    slow = site.must("one.image.allocate", "NAME=slow\nPATH=/etc/hostname\n", 102, False)
    site.call("one.image.delete", slow, False)
    gate.touch()
    site.wait_image(slow)
    site.answer("datastore-cp", None)


def _datastore_events(site: Site) -> None:
    text = 'NAME=n\nDS_MAD=recorder\nTM_MAD=recorder\nDISK_TYPE=RBD\nBRIDGE_LIST="x"\n'
    oid = site.must("one.datastore.allocate", text, -1)
    site.must("one.datastore.update", oid, "DISK_TYPE=RBD\n", 1)
    site.must("one.datastore.delete", oid)
    for call in (("allocate", "NAME=bad\n", -1), ("update", 102, 'DR_NOTE="a <b> ]]> x"\nDR_VEC=[A="1",B="x <y>"]\n', 1),
                 ("delete", 102), ("enable", 102, False)):
        assert not site.call(f"one.datastore.{call[0]}", *call[1:])[0]
    site.must("one.datastore.enable", 104, True)


def _hotplug(site: Site, oid: int) -> None:
    for method, *arguments in (
            ("attach", f"DISK=[IMAGE_ID={site.ids['three']}]\n"), ("detach", 3), ("attachnic", "NIC=[NETWORK_ID=1]\n"),
            ("diskresize", 0, "2048"), ("disksnapshotcreate", 1, "s0"), ("snapshotcreate", "sys")):
        site.must(f"one.vm.{method}", oid, *arguments)
        site.wait_vm(oid, 3, 3)
    for name, answer, state in (("saved", None, "READY"), ("saved-not", "exit 1", "ERROR")):
        site.answer("tm-cpds", answer)
        site.wait_image(site.must("one.vm.disksaveas", oid, 0, name, "", -1), state)
        site.wait_vm(oid, 3, 3)
    site.answer("tm-cpds", None)


def _migrate(site: Site, oid: int) -> None:
    for host, live in ((2, True), (1, False)):
        site.must("one.vm.migrate", oid, host, live, False, -1, 0)
        site.wait_vm(oid, 3, 3)


def _hotplug_off(site: Site, oid: int) -> None:
    attached = f"DISK=[IMAGE_ID={site.ids['three']}]\n"
    for method, *arguments in (
            ("attach", attached), ("detach", 3), ("diskresize", 0, "4096"), ("disksnapshotcreate", 1, "s1"),
            ("disksnapshotrevert", 1, 0), ("disksnapshotdelete", 1, 1), ("migrate", 1, False, False, 104, 0)):
        site.must(f"one.vm.{method}", oid, *arguments)
        site.wait_vm(oid, 8)
    site.wait_image(site.must("one.vm.disksaveas", oid, 1, "saved2", "", -1))
    site.wait_vm(oid, 8)


def _failures(site: Site, oid: int) -> None:
    assert not site.call("one.vm.allocate", "NAME=bad\nMEMORY=1\n", False)[0]
    site.answer("tm-clone", "exit 1")
    other = site.must("one.vm.allocate", f"NAME=f\nCPU=0.1\nMEMORY=8\nDISK=[IMAGE_ID={site.ids['one']}]\n", False)
    site.wait_vm(other, 3, 39)
    site.answer("tm-clone", None)
    site.must("one.vm.recover", other, 4, -1)
    site.wait_vm(other, 3, 3)
    site.must("one.vm.recover", other, 3)
    site.wait_vm(other, 6)
    assert not site.call("one.vm.recover", other, 0, -1)[0]
    site.answer("tm-delete", "exit 1")
    _act(site, "terminate-hard", oid, 3, 40)
    site.answer("tm-delete", None)
    site.must("one.vm.recover", oid, 2)
    site.wait_vm(oid, 6)
    for number in ("snapshotrevert", "snapshotflatten"):
        site.must(f"one.image.{number}", site.ids["two"], 0)
        site.wait_image(site.ids["two"])
    last = site.wait_vm(allocate(site, "last", disk(site, "two")), 3, 3)
    site.must("one.vm.recover", last, 3)
    site.wait_image(site.ids["two"], "ERROR")
    site.must("one.image.enable", site.ids["two"], True)
    site.must("one.vm.disksnapshotcreate", site.wait_vm(allocate(site, "snap", disk(site, "two")), 3, 3), 0, "s0")
    snap = site.ids["snap"]
    site.wait_vm(snap, 3, 3)
    _act(site, "terminate-hard", snap, 6)
    number = site.xml("image", site.ids["two"]).findtext("SNAPSHOTS/SNAPSHOT/ID")
    site.must("one.image.snapshotdelete", site.ids["two"], int(number))
    site.wait_image(site.ids["two"])


def _ignored(name: str) -> tuple[str, ...]:
    if name.startswith("api-"):
        return (EXTRA,)
    return IGNORED_VM + IGNORED_IMAGE + IGNORED_HOST


def recorded() -> list[str]:
    """Folders of the recorded payloads this stand-in claims to produce."""
    names = sorted(path.name for path in (WIRE / "hooks").iterdir())
    return [name for name in names if f"hooks/{name}" not in (*UNSUPPORTED, INJECTION)]


def _candidates(name: str, events: dict[str, list[Event]]) -> list[Event]:
    """Events like a recorded one: the same label, and the same outcome, or the same states."""
    label, _, detail = name.partition("__")
    found = events[label]
    if label.startswith("api-"):
        wanted = "0" if detail == FAILED[2:] else "1"
        return [event for event in found if f"<RESULT>{wanted}</RESULT>" in event.xml]
    if detail.startswith("state"):
        state, previous = re.findall(r"\d+", detail)
        marks = (f"<STATE>{state}</STATE>", f"<PREV_STATE>{previous}</PREV_STATE>")
        return [event for event in found if all(mark in event.xml for mark in marks)]
    return found


@pytest.mark.parametrize("name", recorded())
def test_the_payload(eventful: tuple[Site, dict[str, list[Event]]], name: str) -> None:
    found = _candidates(name, eventful[1])
    assert found, f"no such event, only {[event.xml[-300:] for event in eventful[1][name.partition('__')[0]]]}"
    expected = (WIRE / "hooks" / name / "stdin.xml").read_text()
    assert min((differences(expected, event.xml, _ignored(name)) for event in found), key=len) == []


def test_the_extra_of_allocate_and_delete_is_the_object(eventful: tuple[Site, dict[str, list[Event]]]) -> None:
    for call, root in (("image.allocate", "IMAGE"), ("image.delete", "IMAGE"), ("vm.allocate", "VM"),
                       ("datastore.allocate", "DATASTORE"), ("datastore.delete", "DATASTORE")):
        good = _candidates(f"api-one.{call}", eventful[1])
        assert all(etree.fromstring(event.xml).find(f"EXTRA/{root}/ID") is not None for event in good), call


def test_user_text_forges_parameters(eventful: tuple[Site, dict[str, list[Event]]]) -> None:
    """Nothing is escaped: a DR tool that believes the document is fooled here as it would be by oned."""
    event = eventful[1]["api-one.image.update"][0]
    positions = [node.findtext("POSITION") for node in etree.fromstring(event.xml).iter("PARAMETER")]
    assert positions.count("2") == 3


def _run(site: Site, text: str) -> str:
    """Make a hook, fire it by renaming the barrier document, and give its execution record."""
    hook = site.must("one.hook.allocate", text)
    site.must("one.document.rename", site.ids["barrier"], f"fire-{os.urandom(4).hex()}")
    until("the record", lambda: site.xml("hook", hook).find("HOOKLOG/HOOK_EXECUTION_RECORD") is not None)
    record = etree.tostring(site.xml("hook", hook), encoding="unicode")
    site.must("one.hook.delete", hook)
    return record


def test_the_record_of_a_failing_hook(eventful: tuple[Site, dict[str, list[Event]]]) -> None:
    site, _ = eventful
    script = site.var / "remotes" / "hooks" / "failing"
    script.write_text("#!/bin/sh\necho out\necho bad >&2\nexit 3\n")
    script.chmod(0o755)
    record = _run(site, 'NAME=f\nTYPE=api\nCALL=one.document.rename\nCOMMAND=failing\nARGUMENTS="a $API"\n')
    found = etree.fromstring(record).find("HOOKLOG/HOOK_EXECUTION_RECORD")
    assert found is not None
    assert [found.findtext(f"EXECUTION_RESULT/{name}") for name in ("CODE", "STDOUT", "STDERR")] == [
        "3", "b3V0Cg==", "YmFkCg=="]


def test_a_hook_is_ended_after_its_time(eventful: tuple[Site, dict[str, list[Event]]]) -> None:
    site, _ = eventful
    record = _run(site, 'NAME=t\nTYPE=api\nCALL=one.document.rename\nCOMMAND="/bin/sleep"\nARGUMENTS="30"\nTIMEOUT=1\n')
    assert "<CODE>255</CODE>" in record


def test_an_object_too_large_for_an_argument_does_not_run(eventful: tuple[Site, dict[str, list[Event]]]) -> None:
    site, _ = eventful
    hook = site.must("one.hook.allocate",
                     'NAME=big\nTYPE=api\nCALL=one.document.update\nCOMMAND=rechook\nARGUMENTS="big $API"\n')
    site.must("one.document.update", site.ids["barrier"], f'BODY="{"x" * 150_000}"\n', 0)
    until("the record", lambda: site.xml("hook", hook).find("HOOKLOG/HOOK_EXECUTION_RECORD") is not None)
    assert site.xml("hook", hook).findtext("HOOKLOG/HOOK_EXECUTION_RECORD/EXECUTION_RESULT/CODE") == "255"
    site.must("one.hook.delete", hook)
