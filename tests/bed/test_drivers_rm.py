"""Removing images: what goes at both sites, what is refused and where the reason is shown."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import driver_calls as calls
import pytest
import rbd
from driver_calls import MIB, Drivers, arrives, contents, datastore, digest, image, refused, succeeded

from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import until


@pytest.fixture
def yonder(ceph_bed: Bed, here: Drivers) -> Drivers:
    return Drivers(ceph_bed, "site-b", here.api)


@pytest.fixture(autouse=True)
def front_end(here: Drivers) -> Iterator[None]:
    """Each test begins with a front-end that knows no image and was told nothing."""
    yield
    here.api.images.clear()
    here.api.updates.clear()


def protected(site: Site, **more: str) -> calls.Tree:
    return datastore(site, DR_PROTECT="YES", **more)


def made(here: Drivers, there: Site, number: int, **attributes: str) -> str:
    """A mirrored image of 8 MiB whose copy has arrived; returns its name."""
    succeeded(here.ds("mkfs", image(number, size=8), protected(here.site, **attributes)), f"one/one-{number}\n")
    calls.write(here.site, f"one-{number}", b"data" * 1024, MIB)
    if attributes.get("DR_MODE") == "SNAPSHOT":
        calls.publish(here.site, f"one-{number}")
    arrives(there, f"one-{number}", digest(here.site, f"one-{number}"))
    return f"one-{number}"


def rm(drivers: Drivers, number: int, **more: Any) -> calls.Done:
    wanted = image(number, SOURCE=f"one/one-{number}", **more)
    drivers.api.images.append(wanted)
    return drivers.ds("rm", wanted, protected(drivers.site))


def told(here: Drivers, number: int, done: calls.Done, counted: str = "") -> None:
    """The image says in DR_MESSAGE what the refusal said on stderr; of other images and disks only how many."""
    (what, image_id, text), = here.api.updates
    assert (what, image_id) == ("image", number)
    if counted:
        assert counted in text and "alice-db" not in text and f"one-{number}-" not in text
    else:
        assert f"<DR_MESSAGE>{done.stderr.strip()}</DR_MESSAGE>" in text


@pytest.mark.parametrize("mode", ["JOURNAL", "SNAPSHOT"])
def test_a_removed_image_goes_at_both_sites(here: Drivers, yonder: Drivers, mode: str) -> None:
    number = 200 + ["JOURNAL", "SNAPSHOT"].index(mode)
    name = made(here, yonder.site, number, DR_MODE=mode)
    here.rbd("snap", "create", f"one/{name}@snap")
    here.rbd("snap", "protect", f"one/{name}@snap")
    succeeded(rm(here, number))
    for site in (here.site, yonder.site):
        calls.vanishes(site, name)
    succeeded(rm(here, number))  # gone already
    assert here.api.updates == []


def test_an_image_that_never_came_to_be_is_removed_at_once(here: Drivers) -> None:
    before = contents(here.site)
    for source in ("", "-"):
        succeeded(here.ds("rm", image(205, SOURCE=source), protected(here.site)))
    assert contents(here.site) == before


def test_an_image_may_go_in_the_middle_of_its_first_copy(here: Drivers, yonder: Drivers, tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"y" * 32 * MIB)
    for number in range(210, 213):
        begun = here.ds("cp", image(number, str(tmp_path / "full")), protected(here.site))
        succeeded(begun, f"one/one-{number} raw\n")
    until("the first of the copies", lambda: "one-210" in contents(yonder.site)[0], 60, 0.02)
    for number in range(210, 213):
        succeeded(rm(here, number))
        assert f"one-{number}" not in contents(here.site)[0]
    for number in range(210, 213):
        calls.vanishes(yonder.site, f"one-{number}")


def test_the_base_of_a_disk_is_kept(here: Drivers, yonder: Drivers) -> None:
    name = made(here, yonder.site, 220)
    here.rbd("snap", "create", f"one/{name}@snap")
    here.rbd("snap", "protect", f"one/{name}@snap")
    here.rbd("clone", f"one/{name}@snap", f"one/{name}-7-0")
    before = contents(here.site)
    done = rm(here, 220)
    refused(done, f"base of one/{name}-7-0", "Delete them first")
    told(here, 220, done, "base of 1 other image(s) or disk(s)")
    assert contents(here.site) == before and calls.mode_of(here.site, name) is not None
    arrives(yonder.site, name, digest(here.site, name))


def lockers(site: Site, name: str) -> list[tuple[str, str, str]]:
    """Client, cookie and address of each; librbd answers an empty list where there is none."""
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        held = found.list_lockers()
        return [(str(a), str(b), str(c)) for a, b, c in held["lockers"]] if held else []


@pytest.mark.parametrize("held_by", ["lock", "watcher"])
def test_an_image_that_another_client_holds_is_kept_at_both_sites(
    here: Drivers, yonder: Drivers, held_by: str
) -> None:
    number = 230 + ["lock", "watcher"].index(held_by)
    name = made(here, yonder.site, number)
    began = time.monotonic()
    if held_by == "lock":
        until(f"{name} to be nobody's: {lockers(here.site, name)}", lambda: not lockers(here.site, name), 30)
        here.rbd("lock", "add", f"one/{name}", "host1")
        done = rm(here, number)
        refused(done, "locked by host1", "rbd lock rm")
    else:
        with calls.opened(here.site) as io, rbd.Image(io, name):  # open, nothing written: an idle guest
            done = rm(here, number)
        refused(done, "watched by ")
    assert time.monotonic() - began < 30
    told(here, number, done)
    assert calls.mode_of(here.site, name) is not None
    arrives(yonder.site, name, digest(here.site, name))
    if held_by == "lock":
        with calls.opened(here.site) as io, rbd.Image(io, name) as found:
            for client, cookie, _ in lockers(here.site, name):
                found.break_lock(client, cookie)
    succeeded(rm(here, number))
    for site in (here.site, yonder.site):
        calls.vanishes(site, name)


def test_the_copy_is_not_removed_at_the_peer(here: Drivers, yonder: Drivers) -> None:
    name = made(here, yonder.site, 221)
    done = rm(yonder, 221)
    refused(done, "copy of the peer's data")
    told(here, 221, done)
    arrives(yonder.site, name, digest(here.site, name))


def test_data_that_two_images_name_is_kept(here: Drivers, yonder: Drivers) -> None:
    name = made(here, yonder.site, 222)
    here.api.images.append(image(99, SOURCE=f"one/{name}", NAME="alice-db"))
    done = rm(here, 222)
    refused(done, "99 (alice-db) has the same SOURCE")
    told(here, 222, done, "1 other image(s) have the same SOURCE")
    assert name in contents(here.site)[0] and name in contents(yonder.site)[0]


def test_the_only_copy_of_what_was_taken_over_is_kept(here: Drivers, yonder: Drivers) -> None:
    name = made(here, yonder.site, 223)
    here.bed.stop("site-a", "mirror")
    try:
        with calls.opened(here.site) as io, rbd.Image(io, name) as found:
            found.mirror_image_demote()
        promote(yonder.site, name)
        done = rm(yonder, 223)
        refused(done, "only good copy", "DR_PROTECT=NO")
        told(here, 223, done)
        assert name in contents(yonder.site)[0]
        succeeded(rm(yonder, 223, attributes={"DR_PROTECT": "NO"}))
        assert name not in contents(yonder.site)[0]
    finally:
        here.bed.start("site-a", "mirror")


def promote(site: Site, name: str) -> None:
    """Promote when Ceph accepts it."""
    def accepted() -> bool:
        try:
            with calls.opened(site) as io, rbd.Image(io, name) as found:
                found.mirror_image_promote(False)
        except (rbd.ImageBusy, rbd.ReadOnlyImage, rbd.InvalidArgument):
            return False
        return True

    until(f"{name} to be promoted", accepted, 60, 0.2)


def test_an_image_in_use_stays_whole_until_its_writer_has_left(here: Drivers, yonder: Drivers) -> None:
    name = made(here, yonder.site, 224)
    here.api.images.append(image(224, SOURCE=f"one/{name}"))
    data = calls.stdin_of(image(224, SOURCE=f"one/{name}"), protected(here.site))
    with calls.opened(here.site) as io:
        with rbd.Image(io, name) as writer:
            writer.write(b"w" * 512, 0)
            process = here.popen("datastore", "rm", 224)
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            process.stdin.write(data)
            process.stdin.close()
            with rbd.Image(io, name, read_only=True) as looked:
                until("the driver to look", lambda: len(list(looked.watchers_list())) > 0 and mapped(process.pid), 20)
            writer.write(b"z" * 512, 4096)
            assert calls.mode_of(here.site, name) is not None
            assert process.poll() is None
        assert process.wait(60) == 0
    process.stdout.close()
    process.stderr.close()
    for site in (here.site, yonder.site):
        calls.vanishes(site, name)


def mapped(pid: int) -> bool:
    """Has the process loaded librbd, so is it past its start?"""
    with open(f"/proc/{pid}/maps") as maps:
        return any("librbd" in line for line in maps)


@pytest.mark.parametrize("mode", ["JOURNAL", "SNAPSHOT"])
def test_the_trash_takes_images_when_the_datastore_says_so(here: Drivers, yonder: Drivers, mode: str) -> None:
    number = 230 + ["JOURNAL", "SNAPSHOT"].index(mode)
    name = made(here, yonder.site, number, DR_MODE=mode)
    succeeded(here.ds("rm", image(number, SOURCE=f"one/{name}"), protected(here.site, CEPH_TRASH="yes")))
    assert name not in contents(here.site)[0] and name in contents(here.site)[1]
    calls.vanishes(yonder.site, name)
