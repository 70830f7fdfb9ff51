"""A datastore's user with `profile rbd` and no more: the peer's Ceph cannot be looked into, everything else holds."""
from __future__ import annotations

from typing import TYPE_CHECKING

import workload as w

from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

_PROFILE = ["mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd"]


def test_without_the_peers_key_vms_are_protected_and_come_back(sites: Sites) -> None:
    a, b = sites.a, sites.b
    for name in ("site-a", "site-b"):
        sites.bed.run(name, ["ceph", "auth", "caps", "client.oneadmin", *_PROFILE], check=True, capture_output=True)
    vm = w.create_vm(a, "plain", [w.create_image(a, "disk")])

    def arrived() -> bool:
        found = {item["name"]: item for item in b.onedr("status", DATASTORE)["vms"]}
        return bool(found.get("plain", {}).get("recovery_point"))

    until("a recovery point at the peer, by rbd-mirror's status", arrived, 120)
    assert not a.onedr("status", DATASTORE)["peer"]["proven"]
    refused = b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, check=False)
    assert refused.returncode == 2 and "cannot be fenced" in refused.stderr
    w.wait_writing(a, vm)
    sites.kill_a()
    b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE)
    recovered = next(found.ID for found in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if found.NAME == "plain")
    w.wait_writing(b, recovered)
