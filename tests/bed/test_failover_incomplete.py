"""The site dies while a first copy is under way: that copy is refused, and what rests on it; the others go
on.
"""
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import workload as w

from onedr.ceph.connection import Pool
from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

_OBJECT = 4 << 20
_OBJECTS = 12288  # each with a little data: with one at a time, copying them takes many times as long as writing them


def fill(pool: Pool, name: str) -> None:
    """Give an image many objects."""
    with pool.image(name) as image:
        image.resize(_OBJECTS * _OBJECT)
        waiting = []
        for number in range(_OBJECTS):
            waiting.append(image.aio_write(b"data" * 1024, number * _OBJECT, lambda *_: None))
            if len(waiting) == 64:
                for write in waiting:
                    write.wait_for_complete_and_cb()
                waiting = []
        image.flush()


def test_a_copy_that_never_completed_is_refused_while_others_go_on(sites: Sites) -> None:
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    good, part = w.create_image(a, "good", wait=False), w.create_image(a, "part", wait=False)
    for image in (good, part):
        a.wait_image(image)
    with w.open_pool(a) as here, w.open_pool(b) as there:
        with here.image(w.rbd_name(a, good)) as image:
            image.write(b"whole" * 1000, 1 << 20)
        content = w.digest(a, w.rbd_name(a, good))
        good_name = w.rbd_name(a, good)
        whole = w.create_vm(a, "whole", [good])
        w.wait_recorded(a, whole, there)
        w.wait_complete(a, [w.rbd_name(a, image) for image in (good, part)])
        sites.bed.stop("site-b", "mirror")
        slow = ["ceph", "config", "set", "client", "rbd_concurrent_management_ops", "1"]
        sites.bed.run("site-b", slow, check=True)
        big = w.create_image(a, "big")
        name, other = w.rbd_name(a, big), w.rbd_name(a, part)
        fill(here, name)
        half = w.create_vm(a, "half", [part, big])
        w.wait_recorded(a, half, here)
        sites.bed.start("site-b", "mirror")
        until("the first copy to begin", lambda: w.vm_record(there, other) and name in there.names(), 60, 0.01)
        sites.kill_a()
        assert not w.values_of(there, name), "the copy must have been caught under way for this test to say anything"
        done = b.run("onedr", "failover", str(b.datastore_id), "--confirm", DATASTORE, "--json", check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        roles = w.primaries(there)
        assert not roles[name], "never promoted, not by force"
        assert all(roles[w_name] for w_name in roles if w_name != name)
    assert done.returncode == 5, "done in part"
    verdict = next(event for event in events if event["event"] == "verdict")
    assert "never completed" in verdict["failed"][name]
    reason = next(why for item, why in verdict["failed"].items() if "half" in item)
    assert name in reason
    found = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    assert set(found) == {"whole"}
    b.wait_vm(found["whole"])
    assert w.digest(b, good_name) == content
    last = w.last_run(b)
    assert last["result"] == "PARTIAL" and name in last["failed"]
