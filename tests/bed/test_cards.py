"""Cards and verdicts in a pool: written when they changed, read back as they were, gone with the last one."""
from __future__ import annotations

from dataclasses import replace

import pytest
import rados

from onedr.errors import StorageError
from onedr.facts import Card, Proof
from onedr.model import CephAccess, Mode
from onedr.ports import cards, ceph, estate, proofs
from sandbox.bed import Bed

CARD = Card("fsid", "site-ü", 1, "images", "JOURNAL", (("lan", "here=it"),), "abc", (("rbd_mirror_journal_poll_age", "0.5"),))
PROOF = Proof(Mode.SNAPSHOT, 1000.5, "here", "there", ("16.2.15",), 12.5, True, False, None, True, "why")


def test_in_a_pool(ceph_bed: Bed) -> None:
    with ceph.connect(CephAccess("one", "oneadmin", str(ceph_bed.sites["site-a"].ceph_conf))) as pool:
        assert cards.read(pool) == {}
        assert cards.publish(pool, CARD) and not cards.publish(pool, CARD)
        other = replace(CARD, datastore="other", key="")
        assert cards.publish(pool, other) and cards.publish(pool, replace(CARD, site_index=2))
        assert cards.read(pool) == {"images": replace(CARD, site_index=2), "other": other}
        cards.withdraw(pool, "images")
        assert cards.read(pool) == {"other": other}
        cards.withdraw(pool, "other")
        cards.withdraw(pool, "other")
        assert cards.OBJECT not in {entry.key for entry in pool.io.list_objects()}
        pool.io.write_full(cards.OBJECT, b"")
        with rados.WriteOpCtx() as operation:
            pool.io.set_omap(operation, ("images",), (b"{}",))
            pool.io.operate_write_op(operation, cards.OBJECT)
        with pytest.raises(StorageError, match="damaged"):
            cards.read(pool)
        assert cards.publish(pool, CARD) and cards.read(pool) == {"images": CARD}, "a damaged one is written anew"

        proofs.keep(pool, PROOF)
        assert proofs.last(pool) == {Mode.SNAPSHOT: PROOF}
        proofs.forget(pool)
        proofs.forget(pool)
        assert proofs.last(pool) == {}


def test_options_of_rbd_mirror_by_file_and_by_the_clusters_own_configuration(ceph_bed: Bed) -> None:
    """The file wins, as it does for the daemon; what neither has is Ceph's default."""
    with ceph.connect(CephAccess("one", "oneadmin", str(ceph_bed.sites["site-a"].ceph_conf))) as pool:
        found = estate.mirror_options(pool)
        assert {name: float(value) for name, value in found.items()} == dict(zip(estate.OPTIONS, (0.5, 2, 0)))
        ceph_bed.run("site-a", ["ceph", "config", "set", "client.rbd-mirror.a", "rbd_mirroring_delete_delay", "60"], check=True,
                     capture_output=True)
        ceph_bed.run("site-a", ["ceph", "config", "set", "client", "rbd_mirror_journal_poll_age", "7"], check=True,
                     capture_output=True)
        found = estate.mirror_options(pool)
        assert {name: float(value) for name, value in found.items()} == dict(zip(estate.OPTIONS, (0.5, 2, 60)))
