"""A lease is judged by what the watcher itself saw, never by a clock of its writer."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from onedr.runs.lease_watch import Lease, Sight, Watch, decode, encode

DEAD_S = 60.0
LEASE = Lease("host:1:2", "move", 3, machine="m", home="f", site="A", run="r", by="olga@desk", began=1e9)


class Watching(RuleBasedStateMachine):
    """An owner that renews, dies, gives back, or is replaced, and a watcher that looks now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.lease, self.now, self.changed_at = LEASE, 1000.0, 1000.0
        self.watch, self.seen = Watch(DEAD_S), False
        self.first_seen = 0.0
        self.last_text, self.sight = "", Sight.WATCHED

    def _write(self, lease: Lease) -> None:
        self.lease, self.changed_at = lease, self.now

    @rule(clock=st.floats(0, 1e12))
    def renew(self, clock: float) -> None:
        """The owner's wall clock may say anything: a year ahead, or 1970."""
        self._write(replace(self.lease, renewal=self.lease.renewal + 1, began=clock))

    @rule()
    def take(self) -> None:
        self._write(replace(self.lease, generation=self.lease.generation + 1, renewal=0, released=False))

    @precondition(lambda self: not self.lease.released)
    @rule()
    def give_back(self) -> None:
        self._write(replace(self.lease, renewal=self.lease.renewal + 1, released=True))

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def look(self) -> None:
        text = encode(self.lease)
        self.sight = self.watch.see(text, self.lease.released, self.now)
        if self.lease.released:
            assert self.sight is Sight.FREE
            self.seen = False
            return
        if not self.seen or text != self.last_text:
            expected = Sight.ALIVE if self.seen else Sight.WATCHED
            assert self.sight is expected
            self.first_seen = self.now
        else:
            dead = self.now - self.first_seen >= DEAD_S
            assert self.sight is (Sight.DEAD if dead else Sight.WATCHED)
            assert not dead or self.now - self.changed_at >= DEAD_S, "it was renewed lately"
        self.seen, self.last_text = True, text


TestWatching = Watching.TestCase


def test_a_lease_reads_back() -> None:
    assert decode(encode(LEASE)) == LEASE
    assert decode("") is None


@pytest.mark.parametrize(("until", "released"), [(0.0, True), (4e9, False), (1.0, False)])
def test_a_lease_of_releases_before_is_read(until: float, released: bool) -> None:
    """Its `until`, by a clock that may be a year ahead, says only whether it was given back."""
    text = json.dumps({"owner": "a:1:2", "verb": "failover", "generation": 7, "until": until})
    assert decode(text) == Lease("a:1:2", "failover", 7, released=released)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["owner", "verb", "generation", "renewal", "released", "until", "began", "by"]), inner
    ),
)


@given(_JSON.map(json.dumps) | st.text(min_size=1))
def test_a_damaged_lease_is_one_that_is_watched(text: str) -> None:
    found = decode(text)
    assert found is not None
    assert isinstance(found.generation, int) and isinstance(found.owner, str)
    watch = Watch(DEAD_S)
    if not found.released:
        assert watch.see(text, False, 0.0) is Sight.WATCHED
        assert watch.see(text, False, DEAD_S) is Sight.DEAD, "it shuts nobody out for ever"
