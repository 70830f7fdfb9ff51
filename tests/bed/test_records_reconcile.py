"""What the hooks missed, one reconcile writes."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import changes as c
import oracle
import pytest
import workload as w
from changes import Ground

if TYPE_CHECKING:
    from conftest import Sites


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    with c.make_ground(sites) as made:
        yield made


def test_a_reconcile_writes_what_the_hooks_would_have_written(ground: Ground) -> None:
    """Everything again with the hook process stopped, one reconcile; the same bodies."""
    if ground.sites.real:
        pytest.skip("the stand-in's hook process can be stopped by itself, a real oned's only with oned")
    bed, cloud = ground.sites.bed, ground.cloud
    bed.stop("site-a", "hooks")
    try:
        for change in (
            c.attach_disk, c.attach_nic, c.detach_nic, c.chmod, c.chown, c.update, c.rename, c.detach_disk, c.suspend, c.resume,
        ):
            change(ground)
        second = w.create_vm(cloud, "second", [ground.spare])
        c.turn_off(ground)
        ground.cloud.api.vm.resize(ground.vm, "MEMORY=128\nCPU=0.1", True)
        cloud.onedr("reconcile", str(cloud.datastore_id))
        for vm in (ground.vm, second):
            wanted = oracle.vm(cloud, vm)
            said = {name: oracle.of_vm_record(w.vm_record(ground.here, name)) for name in wanted.protected}
            assert said and said == dict.fromkeys(wanted.protected, wanted)
            w.wait_recorded(cloud, vm, ground.there)
        cloud.api.vm.action("terminate-hard", second)
        cloud.wait_image(ground.spare, "READY")
        cloud.onedr("reconcile", str(cloud.datastore_id))
        assert w.vm_record(ground.here, w.rbd_name(cloud, ground.spare)) is None
        again = cloud.onedr("reconcile", str(cloud.datastore_id))
        assert not again["recorded"] and not again["failed"], "a second turn has nothing left to do"
    finally:
        bed.start("site-a", "hooks")
