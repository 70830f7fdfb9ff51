"""A VM's definition travels on its disks, by hooks, as it changes."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import changes as c
import oracle
import pytest
import workload as w
from changes import Ground

from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    with c.make_ground(sites) as made:
        yield made


# In this order; each begins where the one before ended.
CHANGES: list[tuple[str, Callable[[Ground], None]]] = [
    ("attach a disk", c.attach_disk), ("detach a disk", c.detach_disk), ("attach a NIC", c.attach_nic),
    ("detach a NIC", c.detach_nic), ("update", c.update), ("rename", c.rename), ("chown", c.chown),
    ("chmod", c.chmod), ("suspend", c.suspend), ("resume", c.resume), ("poweroff", c.turn_off), ("resize", c.resize),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_after_each_change_of_a_vm_its_record_says_so_here_and_at_the_peer(
    ground: Ground, name: str, change: Callable[[Ground], None],
) -> None:
    """Skipping one leaves the others meaningful: they compare with what the API says, whatever that is."""
    before = oracle.vm(ground.cloud, ground.vm)
    held = w.lock_owners(ground.here, before.protected[0])
    change(ground)
    assert oracle.vm(ground.cloud, ground.vm) != before, "the change must be visible for this test to say anything"
    here, there = w.wait_recorded(ground.cloud, ground.vm, ground.here, ground.there)
    print(f"\nrecord after {name}: here {here:.2f} s, at the peer {there:.2f} s after the change had ended")
    if name not in ("suspend", "resume", "poweroff", "resize"):
        assert held, "qemu must have held the image's lock"
        assert w.lock_owners(ground.here, before.protected[0]) == held, "qemu kept its lock"
    if name == "detach a disk":
        c.gone_from(ground, w.rbd_name(ground.cloud, ground.spare))


def test_a_terminated_vm_leaves_no_record_on_its_persistent_images(ground: Ground) -> None:
    """Its clones are gone altogether."""
    names = w.vm_disks(ground.cloud, ground.vm)
    persistent = [name for name in names if w.image_record(ground.here, name)]
    ground.cloud.api.vm.action("terminate-hard", ground.vm)
    c.gone_from(ground, *persistent)
    clones = set(names) - set(persistent)
    assert clones
    until("the clones to go", lambda: not clones & set(ground.here.names()), w.ARRIVES_S)
