"""Recovery plans in the pools of both sites: versions, signed, handed on, removed; what is in doubt is not used."""
from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import put_record_key

from onedr.ceph import omap
from onedr.model.errors import StorageError
from onedr.model.recovery_plan import Group, RecoveryPlan
from onedr.model.types import Settings
from onedr.replication import hand_on, plan_store
from onedr.replication.plan_store import PLANS, Version

PLAN = RecoveryPlan((Group("web", ("web1",), labels=("web",), depends={}, line=3),))
SETTINGS = Settings(peer_datastore="other")
HERE, THERE = ("ceph/web", "other/web")


class Pools:
    """The omaps of two pools."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.here: Any = SimpleNamespace(name="here")
        self.there: Any = SimpleNamespace(name="there")
        self.omap: dict[str, dict[str, bytes]] = {"here": {}, "there": {}}
        for function in ("read_all", "list_keys", "read_keys", "write_keys", "drop_keys"):
            monkeypatch.setattr(omap, function, getattr(self, f"_{function}"))

    def _read_all(self, pool: Any, name: str, prefix: str = "") -> dict[str, bytes]:
        return {key: self.omap[pool.name][key] for key in self._list_keys(pool, name, prefix)}

    def _list_keys(self, pool: Any, _: str, prefix: str) -> list[str]:
        return sorted(key for key in self.omap[pool.name] if key.startswith(prefix))

    def _read_keys(self, pool: Any, _: str, keys: Iterable[str]) -> dict[str, bytes]:
        return {key: self.omap[pool.name][key] for key in keys if key in self.omap[pool.name]}

    def _write_keys(self, pool: Any, _: str, new: dict[str, bytes]) -> None:
        self.omap[pool.name].update(new)

    def _drop_keys(self, pool: Any, _: str, *keys: str) -> None:
        for key in keys:
            del self.omap[pool.name][key]


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pools:
    put_record_key(tmp_path, monkeypatch)
    return Pools(monkeypatch)


def version(number: int, text: str = "version: 1\n", plan: RecoveryPlan = PLAN) -> Version:
    return Version(number, 1e9 + number, "ann@one", "a", text, plan if text else RecoveryPlan(), (HERE, THERE), ("+x",))


def test_what_is_written_is_read_and_either_pool_has_it(pools: Pools) -> None:
    PLANS.write(pools.here, HERE, version(1))
    PLANS.write(pools.there, THERE, version(2))
    found = plan_store.newest(pools.here, "ceph", SETTINGS, "web", pools.there)
    assert found.newest == version(2) and not found.doubts
    assert plan_store.newest(pools.here, "ceph", SETTINGS, "web").newest == version(1)
    assert plan_store.names(pools.here, "ceph") == ["web"] and plan_store.names(pools.here, "cep") == []


def test_only_the_newest_versions_are_kept(pools: Pools) -> None:
    for number in range(1, 25):
        PLANS.write(pools.here, HERE, version(number))
    assert [each.number for each in PLANS.read(pools.here, HERE).versions] == list(range(5, 25))


@pytest.mark.parametrize(("change", "why"), [
    (lambda head: head.pop("mac"), "unsigned"), (lambda head: head["plan"]["groups"][0].update(vms=["db1"]), "forged"),
    (lambda head: head.update(text="x"), "forged"), (lambda head: head.update(schema=2), "schema 2, of a newer release"),
    (lambda head: head.clear(), "damaged"), (lambda head: head.update(datastores=["ceph/db"]), "forged"),
])
def test_what_was_not_written_with_the_key_or_is_damaged_is_not_used(pools: Pools, change: Any, why: str) -> None:
    PLANS.write(pools.here, HERE, version(1))
    key = f"{HERE}/00000001"
    head = json.loads(pools.omap["here"][key])
    change(head)
    pools.omap["here"][key] = json.dumps(head).encode()
    with pytest.raises(StorageError, match=f"{why}.*onedr recovery-plan edit ceph web"):
        plan_store.newest(pools.here, "ceph", SETTINGS, "web")
    PLANS.write(pools.there, THERE, version(2))
    found = plan_store.newest(pools.here, "ceph", SETTINGS, "web", pools.there)
    assert found.newest is not None and found.newest.number == 2 and why in found.doubts[0]


def test_a_good_version_under_another_plans_name_is_not_used(pools: Pools) -> None:
    PLANS.write(pools.here, HERE, version(1))
    pools.omap["here"]["ceph/db/00000001"] = pools.omap["here"][f"{HERE}/00000001"]
    with pytest.raises(StorageError, match="for another datastore"):
        plan_store.newest(pools.here, "ceph", SETTINGS, "db")


def test_reconcile_hands_on_what_the_peer_lacks_and_a_removal_too(pools: Pools) -> None:
    PLANS.write(pools.here, HERE, version(1))
    PLANS.write(pools.there, THERE, version(1))
    PLANS.write(pools.here, HERE, version(2, text=""))
    assert plan_store.to_hand_on(pools.here, "ceph")
    hand_on.hand_on(pools.here, pools.there, "ceph", SETTINGS)
    assert plan_store.is_removed(PLANS.read(pools.there, THERE).newest)
    assert not plan_store.to_hand_on(pools.here, "ceph")
    assert not plan_store.is_removed(version(1)) and plan_store.is_removed(None)


def test_disable_forgets_all_plans_of_the_datastore(pools: Pools) -> None:
    PLANS.write(pools.here, HERE, version(1))
    PLANS.write(pools.here, "ceph2/web", version(1))
    PLANS.forget(pools.here, "ceph")
    assert list(pools.omap["here"]) == ["ceph2/web/00000001"]
