"""A mark on a VM or image says nothing by itself: a user's VM stays one that is recorded, moved and fenced."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.failover import peer_vms
from onedr.opennebula import run_made

TAG = "onedr-drill-0123abcd-100-1700000000000"
STAND_IN = "one/onedr-rehearsal-0a1b-one-7"
TURN = "<DR_REHEARSAL>0a1b</DR_REHEARSAL>"
MARKS = f"<DR_DRILL>{TAG}</DR_DRILL><DR_SNAPSHOT_CARRIER>YES</DR_SNAPSHOT_CARRIER>"


def vm(*sources: str, marks: str = MARKS, uid: int = 5, name: str = "v") -> etree._Element:
    disks = "".join(
        f"<DISK><DISK_ID>{number}</DISK_ID><TYPE>RBD</TYPE><DATASTORE_ID>100</DATASTORE_ID>"
        f"<IMAGE_ID>7</IMAGE_ID><SOURCE>{source}</SOURCE></DISK>" for number, source in enumerate(sources)
    )
    zeros = "".join(f"<{who}_{what}>0</{who}_{what}>" for who in ("OWNER", "GROUP", "OTHER") for what in "UMA")
    return etree.fromstring(
        f"<VM><ID>3</ID><UID>{uid}</UID><NAME>{name}</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>3</STATE>"
        f"<PERMISSIONS>{zeros}</PERMISSIONS><TEMPLATE>{disks}</TEMPLATE><USER_TEMPLATE>{marks}</USER_TEMPLATE></VM>"
    )


CLONE = f"one/{TAG}-one-7"


@pytest.mark.parametrize(("found", "made"), [
    (vm(CLONE), True),
    (vm(CLONE, CLONE), True),
    (vm(), True),  # no data of anybody's
    (vm("one/one-7"), False),
    (vm(CLONE, "one/one-7"), False),
    (vm(f"one/x{TAG}-one-7"), False),
    (vm("one/one-7", name=run_made.CARRIER_NAME), False),
    (vm("one/one-7", name=run_made.CARRIER_NAME, uid=0), True),  # with the disk whose snapshots it lists
    (vm("one/one-7", name=run_made.CARRIER_NAME, uid=0, marks=""), False),
    (vm(CLONE, marks=""), False),
    (vm(STAND_IN, marks=TURN), True),
    (vm(STAND_IN, "one/one-7", marks=TURN), False),
    (vm("one/onedr-rehearsal-0a1c-one-7", marks=TURN), False),
])
def test_a_vm_of_a_run_has_the_disks_of_one(found: etree._Element, made: bool) -> None:
    assert run_made.is_of_run(found) == made


def test_an_image_of_a_drill_has_the_data_of_one() -> None:
    def image(source: str) -> etree._Element:
        return etree.fromstring(
            f"<IMAGE><SOURCE>{source}</SOURCE><TEMPLATE><DR_DRILL>{TAG}</DR_DRILL></TEMPLATE></IMAGE>")

    assert run_made.is_of_run(image(CLONE)) and not run_made.is_of_run(image("one/one-7"))


def test_a_marked_vm_on_real_disks_is_seen_by_the_fence() -> None:
    """Not seen it would not be stopped, and would go on writing to what the other site takes over."""
    class FrontEnd:
        def vms(self) -> list[Any]:
            return [vm("one/one-7"), vm(CLONE)]

    assert [found.images for found in peer_vms.on_pool(FrontEnd(), "one")] == [{"one-7"}]  # type: ignore[arg-type]
