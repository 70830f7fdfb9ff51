"""What survives the death of a process, and what does not."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_site import Site, populate, register_hooks, until


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Site]:
    """A site whose processes may be killed."""
    made = Site(tmp_path)
    try:
        made.start("frontend")
        made.start("hookd")
        populate(made)
        yield made
    finally:
        made.close()


def test_everything_survives_a_sigkill_of_the_front_end(mortal: Site) -> None:
    image = mortal.must("one.image.allocate", "NAME=i\nTYPE=DATABLOCK\nSIZE=8\nPERSISTENT=YES\n", 102, False)
    mortal.wait_image(image)
    vm = mortal.must("one.vm.allocate", f'NAME=v\nCPU=0.1\nMEMORY=8\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK_ID=0]\n'
                                        'SCHED_REQUIREMENTS="NAME=rechost1"\n', False)
    mortal.wait_vm(vm, 3, 3)
    mortal.must("one.vm.disksnapshotcreate", vm, 0, "s")
    mortal.wait_vm(vm, 3, 3)
    mortal.must("one.vm.lock", vm, 4, False)
    before = {(kind, oid): mortal.must(f"one.{kind}.info", oid) for kind, oid in
              (("vm", vm), ("image", image), ("vn", 0), ("user", 0), ("datastore", 102), ("document", 0))}
    mortal.stop("frontend", kill=True)
    mortal.start("frontend")
    assert {key: mortal.must(f"one.{key[0]}.info", key[1]) for key in before} == before
    assert mortal.must("one.image.allocate", "NAME=j\nTYPE=DATABLOCK\nSIZE=8\n", 102, True) == image + 1


def test_an_image_whose_driver_was_at_work_stays_locked_for_ever(mortal: Site) -> None:
    gate = mortal.var / "gate"
    mortal.answer("datastore-cp", f'while [ ! -e "{gate}" ]; do sleep 0.02; done; touch "{gate}.done"; echo "x/y raw"')
    image = mortal.must("one.image.allocate", "NAME=i\nPATH=/etc/hostname\n", 102, False)
    until("cp runs", lambda: any("datastore-recorder-cp" in path.name for path in (mortal.var / "calls").iterdir()))
    mortal.stop("frontend", kill=True)
    mortal.start("frontend")
    gate.touch()
    until("the driver went on to its end", Path(f"{gate}.done").exists)
    assert mortal.image_state(image) == "LOCKED"
    assert not mortal.call("one.image.enable", image, True)[0]
    mortal.must("one.image.delete", image, True)
    mortal.wait_image(image, "GONE")


def test_a_vm_in_prolog_waits_for_a_retry(mortal: Site) -> None:
    gate = mortal.var / "gate"
    image = mortal.must("one.image.allocate", "NAME=i\nTYPE=DATABLOCK\nSIZE=8\n", 102, False)
    mortal.wait_image(image)
    mortal.answer("tm-clone", f'while [ ! -e "{gate}" ]; do sleep 0.02; done')
    vm = mortal.must("one.vm.allocate", f"NAME=v\nCPU=0.1\nMEMORY=8\nDISK=[IMAGE_ID={image}]\n", False)
    mortal.wait_vm(vm, 3, 1)
    mortal.stop("frontend", kill=True)
    mortal.start("frontend")
    gate.touch()
    assert mortal.vm_state(vm) == (3, 1)
    mortal.must("one.vm.recover", vm, 2)
    mortal.wait_vm(vm, 3, 3)


def test_sigterm_ends_the_front_end_at_once(mortal: Site) -> None:
    begun = time.monotonic()
    assert mortal.stop("frontend") == 0
    assert time.monotonic() - begun < 2


def test_events_are_lost_while_the_hook_process_is_down(mortal: Site) -> None:
    register_hooks(mortal)
    mortal.settle()
    mortal.take_events()
    mortal.stop("hookd", kill=True)
    mortal.must("one.image.allocate", 'NAME=lost\nSOURCE="a/b"\nSIZE=1\nFORMAT=raw\n', 102, False)
    (mortal.var / "onehem.log").unlink()
    mortal.start("hookd")
    mortal.must("one.image.allocate", 'NAME=seen\nSOURCE="a/b"\nSIZE=1\nFORMAT=raw\n', 102, False)
    mortal.settle()
    names = {event.xml.split("<NAME>")[1].split("<")[0] for event in mortal.take_events()}
    assert names == {"seen"}


def test_ten_hooks_run_at_once_and_the_front_end_waits_for_none(mortal: Site) -> None:
    gate, here = mortal.var / "gate", mortal.var / "here"
    here.mkdir()
    script = mortal.var / "remotes" / "hooks" / "slow"
    script.write_text(f'#!/bin/sh\ntouch "{here}/$$"\nwhile [ ! -e "{gate}" ]; do sleep 0.02; done\n')
    script.chmod(0o755)
    mortal.must("one.hook.allocate", "NAME=slow\nTYPE=api\nCALL=one.document.rename\nCOMMAND=slow\n")
    begun = time.monotonic()
    for number in range(13):
        mortal.must("one.document.rename", mortal.ids["barrier"], f"n{number}")
    assert time.monotonic() - begun < 5
    until("ten run", lambda: len(list(here.iterdir())) == 10)
    gate.touch()
    until("all ran", lambda: len(list(here.iterdir())) == 13)


def test_a_record_reaches_a_front_end_that_was_away(mortal: Site) -> None:
    gate = mortal.var / "gate"
    script = mortal.var / "remotes" / "hooks" / "late"
    script.write_text(f'#!/bin/sh\ntouch "{gate}.begun"\nwhile [ ! -e "{gate}" ]; do sleep 0.02; done\n')
    script.chmod(0o755)
    hook = mortal.must("one.hook.allocate", "NAME=late\nTYPE=api\nCALL=one.document.rename\nCOMMAND=late\n")
    mortal.must("one.document.rename", mortal.ids["barrier"], "x")
    until("the hook runs", Path(f"{gate}.begun").exists)
    mortal.stop("frontend", kill=True)
    gate.touch()
    mortal.start("frontend")
    until("its record", lambda: mortal.xml("hook", hook).find("HOOKLOG/HOOK_EXECUTION_RECORD") is not None)
    mortal.must("one.hook.retry", hook, 0)
    until("the record of the retry",
          lambda: len(mortal.xml("hook", hook).findall("HOOKLOG/HOOK_EXECUTION_RECORD")) == 2)
    assert mortal.xml("hook", hook).findall("HOOKLOG/HOOK_EXECUTION_RECORD")[1].findtext("RETRY") == "yes"


def test_a_guest_that_died_is_noticed(mortal: Site) -> None:
    """`poll` of the VMM driver lists the guests that are there."""
    vm = mortal.must("one.vm.allocate", 'NAME=v\nCPU=0.1\nMEMORY=8\nSCHED_REQUIREMENTS="NAME=rechost1"\n', False)
    mortal.wait_vm(vm, 3, 3)
    poll = mortal.var / "remotes" / "vmm" / "recvmm" / "poll"
    alive = mortal.var / "alive"
    alive.write_text(f'VM = [ ID="{vm}", DEPLOY_ID="one-{vm}", STATE="RUNNING" ]\n')
    poll.write_text(f'#!/bin/sh\ntouch "{alive}.asked"\ncat "{alive}"\n')
    poll.chmod(0o755)
    until("asked", Path(f"{alive}.asked").exists)
    assert mortal.vm_state(vm) == (3, 3)
    alive.write_text("")
    mortal.wait_vm(vm, 8)


def test_processes_carry_the_mark_of_their_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_SITE", str(tmp_path))
    site = Site(tmp_path)
    try:
        site.start("frontend")
        site.start("hookd")
        populate(site)
        call = next(call for call in site.take_calls(monitors=True) if call.place)
        assert call.environment["SANDBOX_SITE"] == str(tmp_path)
        os.kill(site.processes["frontend"].pid, signal.SIGTERM)
        assert site.processes.pop("frontend").wait(5) == 0
    finally:
        site.close()
