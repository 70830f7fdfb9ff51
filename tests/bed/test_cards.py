"""Cards and verdicts in a pool: written when they changed, read back as they were, gone with the last one."""
from __future__ import annotations

from dataclasses import replace

import pytest
import rados

from onedr.ceph import cluster_info, connection
from onedr.check import probe_results
from onedr.model.errors import StorageError
from onedr.model.records import ProbeResult, SiteInfo
from onedr.model.types import CephAccess, Mode
from onedr.replication import site_info
from sandbox.bed import Bed

CARD = SiteInfo("fsid", "site-ü", 1, "images", "JOURNAL", (("lan", "here=it"),), "abc", (("rbd_mirror_journal_poll_age", "0.5"),))
PROOF = ProbeResult(Mode.SNAPSHOT, 1000.5, "here", "there", ("16.2.15",), 12.5, True, False, None, True, "why")


def test_in_a_pool(ceph_bed: Bed) -> None:
    with connection.connect(CephAccess("one", "oneadmin", str(ceph_bed.sites["site-a"].ceph_conf))) as pool:
        assert site_info.read_site_info(pool) == {}
        assert site_info.publish_site_info(pool, CARD) and not site_info.publish_site_info(pool, CARD)
        other = replace(CARD, datastore="other", key="")
        assert site_info.publish_site_info(pool, other) and site_info.publish_site_info(pool, replace(CARD, site_index=2))
        assert site_info.read_site_info(pool) == {"images": replace(CARD, site_index=2), "other": other}
        site_info.withdraw_site_info(pool, "images")
        assert site_info.read_site_info(pool) == {"other": other}
        site_info.withdraw_site_info(pool, "other")
        site_info.withdraw_site_info(pool, "other")
        assert site_info.OBJECT not in {entry.key for entry in pool.io.list_objects()}
        pool.io.write_full(site_info.OBJECT, b"")
        with rados.WriteOpCtx() as operation:
            pool.io.set_omap(operation, ("images",), (b"{}",))
            pool.io.operate_write_op(operation, site_info.OBJECT)
        with pytest.raises(StorageError, match="damaged"):
            site_info.read_site_info(pool)
        assert site_info.publish_site_info(pool, CARD) and site_info.read_site_info(pool) == {"images": CARD}, "a damaged one is written anew"

        probe_results.save_result(pool, PROOF)
        assert probe_results.last_result(pool) == {Mode.SNAPSHOT: PROOF}
        probe_results.forget_results(pool)
        probe_results.forget_results(pool)
        assert probe_results.last_result(pool) == {}


def test_options_of_rbd_mirror_by_file_and_by_the_clusters_own_configuration(ceph_bed: Bed) -> None:
    """The file wins, as it does for the daemon; what neither has is Ceph's default."""
    with connection.connect(CephAccess("one", "oneadmin", str(ceph_bed.sites["site-a"].ceph_conf))) as pool:
        found = cluster_info.mirror_options(pool)
        assert {name: float(value) for name, value in found.items()} == dict(zip(cluster_info.OPTIONS, (0.5, 2, 0)))
        ceph_bed.run("site-a", ["ceph", "config", "set", "client.rbd-mirror.a", "rbd_mirroring_delete_delay", "60"], check=True,
                     capture_output=True)
        ceph_bed.run("site-a", ["ceph", "config", "set", "client", "rbd_mirror_journal_poll_age", "7"], check=True,
                     capture_output=True)
        found = cluster_info.mirror_options(pool)
        assert {name: float(value) for name, value in found.items()} == dict(zip(cluster_info.OPTIONS, (0.5, 2, 60)))
