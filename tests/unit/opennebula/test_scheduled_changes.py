"""Scheduled actions of a VM at home follow the other site: what was carried out or taken off there is not done here."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.opennebula import scheduled_actions
from onedr.opennebula.scheduled_actions import Changes

DISKS = {"1": "2"}  # there: here


def action(name: str, time: int = 100, number: str = "0", **more: str) -> tuple[str, Any]:
    made = {"ID": number, "ACTION": name, "TIME": str(time), "DONE": "-1", "PARENT_ID": "7", "TYPE": "VM", "MESSAGE": ""}
    return "SCHED_ACTION", tuple({**made, **more}.items())


@pytest.mark.parametrize(("own", "there", "delete", "added"), [
    ([action("terminate")], [action("terminate", number="9", PARENT_ID="42")], (), []),
    ([action("terminate", number="4")], [], (4,), []),  # its user thought better of it
    ([action("poweroff", number="4")], [action("poweroff", DONE="101")], (4,), []),  # it was carried out there
    ([], [action("poweroff")], (), ["poweroff"]),
    ([action("poweroff", DONE="101")], [], (), []),  # over, here too
    # one that repeats: the next time is the other site's
    ([action("reboot", 100, REPEAT="0")], [action("reboot", 200, REPEAT="0", DONE="100")], (0,), ["reboot"]),
    ([action("disk-snapshot-create", ARGS="2,n")], [action("disk-snapshot-create", ARGS="1,n")], (), []),
    ([action("disk-snapshot-create", ARGS="5,n")], [], (), []),  # its disk never went there
    ([action("backup", ARGS="100")], [], (), []),  # nor did this
    ([], [action("backup", ARGS="100")], (), []),
    ([action("reboot", number="1"), action("reboot", number="2")], [action("reboot")], (2,), []),
    ([action("reboot", WARNING="90")], [action("reboot", WARNING="95")], (), []),
])
def test_what_a_vm_has_here_is_what_it_has_there(own: Any, there: Any, delete: Any, added: list[str]) -> None:
    found = scheduled_actions.changes(tuple(own), tuple(there), DISKS)
    assert (found.delete, [dict(each)["ACTION"] for each in found.add]) == (delete, added)


ACTIONS = st.lists(st.builds(
    action, st.sampled_from(["terminate", "reboot", "backup"]), st.integers(1, 3),
    DONE=st.sampled_from(["-1", "2"])), max_size=4)


@given(ACTIONS, ACTIONS)
def test_following_twice_changes_nothing_more(own: list[Any], there: list[Any]) -> None:
    own = [(key, tuple({**dict(pairs), "ID": str(at)}.items())) for at, (key, pairs) in enumerate(own)]
    found = scheduled_actions.changes(tuple(own), tuple(there), {})
    after = [each for each in own if int(dict(each[1])["ID"]) not in found.delete]
    after += [("SCHED_ACTION", (*pairs, ("ID", str(90 + at)), ("DONE", "-1"))) for at, pairs in enumerate(found.add)]
    assert scheduled_actions.changes(tuple(after), tuple(there), {}) == Changes()


@pytest.mark.parametrize("text", ["9" * 5000, "\u0663", "\u00b2", "-5", "1e9"])
def test_a_number_that_is_none_of_oneds_ends_no_plan(text: str) -> None:
    """Records carry what the VM's XML said."""
    odd = action("reboot", TIME=text, DONE=text, END_VALUE=text, ID=text)
    scheduled_actions.changes((odd,), (odd,), DISKS)
    scheduled_actions.to_come(odd[1], DISKS, [])
    scheduled_actions.postponed((odd,), 10)
