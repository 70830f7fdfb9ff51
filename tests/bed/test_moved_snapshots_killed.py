"""A run that dies while it lists snapshots: nothing of the data is touched, and resume lists them as they were."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import workload as w
from snapshot_trees import AT_A, grow_tree, read, sums

from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


def carriers(cloud: Cloud) -> list[Any]:
    return [vm for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "onedr-snapshots"]


def snapshots_listed(cloud: Cloud) -> int:
    """Those of the disk that is plugged into the small VM, so far."""
    found = [cloud.api.vm.info(vm.ID).SNAPSHOTS for vm in carriers(cloud)]
    tree = found[0] if found else None
    return len(read(tree[0] if isinstance(tree, list) else tree).snapshots) if tree else 0


def test_a_run_killed_while_it_lists_snapshots_is_resumed(sites: Sites) -> None:
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    image = w.create_image(a, "data")
    vm = w.create_vm(a, "db", [image])
    a.api.vm.action("poweroff-hard", vm)
    a.wait_vm(vm, "POWEROFF")
    name = w.rbd_name(a, image)
    grow_tree(a, vm, (0, name))
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    w.wait_complete(a, [name])
    before = sums(a, name)
    child = w.start_action(b, Request("move", confirm=DATASTORE))
    try:
        until("a part of the list", lambda: snapshots_listed(b) > 0, 180, 0.05)
    finally:
        child.kill()
        child.wait()
    assert carriers(b), "it was killed too late for this test to say anything"
    assert sums(b, name) == before
    done = b.run("onedr", "resume", str(b.datastore_id), "--yes", check=False, limit_s=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    found = {each.NAME: each for each in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    assert set(found) == {"db"} and "snapshots" not in done.stdout
    (tree,) = b.api.vm.info(found["db"].ID).SNAPSHOTS
    assert read(tree) == AT_A
    assert sums(b, name) == before
