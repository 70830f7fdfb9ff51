"""DR_PROTECT=NO of an image decides about its owner's VMs, never about another user's."""
from __future__ import annotations

import itertools

import pytest
from lxml import etree

from onedr.model.settings import read_settings
from onedr.model.types import CephAccess
from onedr.opennebula import owners_word
from onedr.opennebula.datastores import Datastore
from onedr.protection.unprotected import unprotected
from onedr.runs.answer_events import Reason

ADMIN, MALLORY, VICTIM = 0, 5, 7
DATASTORE = Datastore(102, "ds", CephAccess("one", "", ""), read_settings((("DR_PROTECT", "YES"),), "ds"))


def image(owner: int, group: int = 1, says: str = "NO", number: int = 3) -> etree._Element:
    return etree.fromstring(
        f"<IMAGE><ID>{number}</ID><UID>{owner}</UID><GID>{group}</GID><STATE>2</STATE><NAME>base</NAME>"
        f"<DATASTORE_ID>102</DATASTORE_ID><SOURCE>one/one-{number}</SOURCE>"
        f"<TEMPLATE>{f'<DR_PROTECT>{says}</DR_PROTECT>' if says else ''}</TEMPLATE></IMAGE>"
    )


def vm(owner: int, own: str = "", clone: str = "YES") -> etree._Element:
    """A VM with one disk, which was told NO when it was made of image 3."""
    rights = "".join(f"<{who}_{what}>0</{who}_{what}>" for who in ("OWNER", "GROUP", "OTHER") for what in "UMA")
    return etree.fromstring(
        f"<VM><ID>9</ID><UID>{owner}</UID><GID>1</GID><UNAME>u</UNAME><GNAME>g</GNAME><NAME>v</NAME><STATE>3</STATE>"
        f"<PERMISSIONS>{rights}</PERMISSIONS><TEMPLATE><DISK><DISK_ID>0</DISK_ID><IMAGE_ID>3</IMAGE_ID>"
        f"<DISK_TYPE>RBD</DISK_TYPE><SOURCE>one/one-3</SOURCE><CLONE>{clone}</CLONE><DATASTORE_ID>102</DATASTORE_ID>"
        "<DATASTORE>ds</DATASTORE><DR_PROTECT>NO</DR_PROTECT></DISK></TEMPLATE>"
        f"<USER_TEMPLATE>{f'<DR_PROTECT>{own}</DR_PROTECT>' if own else ''}</USER_TEMPLATE></VM>"
    )


def says_no(element: etree._Element) -> bool:
    return element.findtext("TEMPLATE/DISK/DR_PROTECT") == "NO"


@pytest.mark.parametrize(
    ("owner", "group", "counts"),
    [(MALLORY, 1, False), (VICTIM, 1, True), (ADMIN, 1, True), (MALLORY, 0, False)],
)
def test_an_image_decides_about_the_vms_of_its_owner_and_oneadmins_about_all(
    owner: int, group: int, counts: bool,
) -> None:
    element = vm(VICTIM)
    owners_word.heed_owners([element], lambda: [image(owner, group)])
    assert says_no(element) is counts
    assert owners_word.used_by_others([image(owner, group)], [element]) == (set() if counts else {3})


def test_of_an_image_that_is_not_known_no_word_counts() -> None:
    element = vm(VICTIM)
    owners_word.heed_owners([element], lambda: [image(VICTIM, number=4)])
    assert not says_no(element)


def test_a_user_takes_no_protection_from_an_admins_vm() -> None:
    element = vm(ADMIN)
    owners_word.heed_owners([element], lambda: [image(MALLORY)])
    assert not says_no(element)


def test_images_are_looked_up_only_where_a_disk_says_something() -> None:
    def never() -> list[etree._Element]:
        raise AssertionError("looked up")

    quiet = vm(VICTIM)
    disk = quiet.find("TEMPLATE/DISK")
    assert disk is not None
    disk.remove(disk.find("DR_PROTECT"))  # type: ignore[arg-type]
    owners_word.heed_owners([quiet], never)


def test_a_vms_own_no_needs_no_image_of_another() -> None:
    assert owners_word.used_by_others([image(MALLORY)], [vm(VICTIM, own="NO")]) == set()
    assert owners_word.used_by_others([image(MALLORY, says="")], [vm(VICTIM)]) == set()


@pytest.mark.parametrize(("clone", "owner"), list(itertools.product(("YES", "NO"), (MALLORY, VICTIM))))
def test_status_says_of_a_victims_disk_that_it_lacks_its_copy_and_not_that_it_was_left_out(
    clone: str, owner: int,
) -> None:
    images, vms = [image(owner)], [vm(VICTIM, clone=clone)]
    owners_word.heed_owners(vms, lambda: images)
    found = unprotected(DATASTORE, images, vms, frozenset({102}), ())
    victims = found["one-3-9-0" if clone == "YES" else "one-3"]
    if owner == MALLORY:
        assert victims.is_problem and "DR_PROTECT" not in victims.text
        assert found["one-3"].is_problem  # the base is needed too
    else:
        assert "DR_PROTECT=NO" in victims.text
        assert found["one-3"].reason in (Reason.BY_CHOICE, Reason.OF_THE_DISK)
