"""What the pool keeps beside the images: whatever stands there, a reader answers or says what is damaged."""
from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onedr.ceph import omap, pending_images
from onedr.check import probe_results
from onedr.model.errors import OneDRError
from onedr.protection import age_history, hook_lag, passes, pool_settings, report_timer
from onedr.replication import clock, ledger, peer_osds, plan_store, rehearsals, site_info
from onedr.replication.map_store import MAPPINGS
from onedr.replication.plan_store import PLANS
from onedr.runs import chain as runs_chain
from onedr.runs import datastore_message, journal, lease

POOL: Any = SimpleNamespace(access=SimpleNamespace(pool="one"), fsid=lambda: "f")
READERS: dict[str, Callable[[], object]] = {
    "ledger": lambda: ledger.read_ledger(POOL), "entry": lambda: ledger.read_entry(POOL, "vm", 3, ("one-1",)),
    "pending": lambda: pending_images.pending_note(POOL, "one-1"), "clock": lambda: clock._last(POOL),
    "passes": lambda: passes.last_pass(POOL, 1), "settings": lambda: pool_settings.read_known(POOL, 1),
    "site": lambda: site_info.read_site_info(POOL), "map": lambda: MAPPINGS.read(POOL, "vm."),
    "handed": lambda: MAPPINGS.to_hand_on(POOL, "x"), "osds": lambda: peer_osds._remembered(POOL),
    "plan": lambda: PLANS.read(POOL, "vm."), "plans": lambda: plan_store.names(POOL, "vm"), "plans handed": lambda: plan_store.to_hand_on(POOL, "x"),
    "results": lambda: rehearsals.results(POOL, 1), "turn": lambda: rehearsals.last_turn(POOL, 1),
    "made": lambda: rehearsals.made(POOL, 1), "probe": lambda: probe_results.last_result(POOL),
    "refused": lambda: datastore_message.refused(POOL, 1, 2e9), "lease": lambda: lease.current_lease(POOL),
    "runs": lambda: journal.load_runs(POOL), "next": lambda: journal._next_id(POOL, "move"),
    "link": lambda: runs_chain.next_link(journal._newest_link(POOL), "1-move", b"", 0.0),
    "rehearsed": lambda: rehearsals.vms_of_all(POOL), "measured": lambda: journal.load_measured(POOL),
    "chain": lambda: journal.verify_chain(POOL), "hooks": lambda: hook_lag.last(POOL, 1),
    "ages": lambda: age_history.history(POOL, 1, 2e9), "reports": lambda: report_timer._noted(POOL, "made.1"),
}
KEYS = [
    "vm.3", "image.4", "vm.x", "other", "vm./1", "pending.a", "vm.1.2", "result.1.f:3", "begun.1.t", "1-move", "run.1-move",
    # numbers that `int` takes long for or refuses, and digits that are none of ours
    *(f"{kind}{number}" for kind in ("vm.", "vm.1.", "", "chain.") for number in ("9" * 5000, "\u0663", "\u00b2", "9" * 18)),
]
WORDS = ["origin", "disks", "finished", "at", "fsid", "site_index", "network_map", "options", "settings", "requests", "seq", "loss_s"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)
TEXTS = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20)
DEEP = b"[" * 200_000


@pytest.mark.parametrize("reader", READERS)
@given(text=TEXTS)
@example(text=DEEP)
@example(text=b"")
@example(text=b"[true]")
@example(text=b'{"disks": "one-1", "origin": 5}')
def test_whatever_stands_there_it_is_read_or_refused(reader: str, text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omap, "read_keys", lambda pool, name, keys: dict.fromkeys(keys, text))
        patch.setattr(omap, "read_all", lambda pool, name, prefix="": {f"{prefix}{key}": text for key in KEYS})
        patch.setattr(omap, "list_keys", lambda pool, name, prefix: [f"{prefix}{key}" for key in KEYS])
        try:
            READERS[reader]()
        except OneDRError as error:
            assert "damaged" in str(error)


def test_a_damaged_entry_of_the_ledger_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps({"origin": "f:7", "disks": ["one-1"], "finished": True, "of a newer release": 1}).encode()
    kept = {"vm.3": good, "vm.4": b"{", "image.5": b'{"disks": 5}', "cat.1": good, "vm.x": good}
    monkeypatch.setattr(omap, "read_all", lambda pool, name: kept)
    found = ledger.read_ledger(POOL)
    assert found.vms == {3: ledger.Entry("f:7", ("one-1",), finished=True)} and not found.images


def test_an_image_whose_note_is_damaged_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omap, "read_keys", lambda pool, name, keys: dict.fromkeys(keys, b"[5]"))
    assert pending_images.pending_note(POOL, "one-1") == {"fsid": "", "what": ""}
