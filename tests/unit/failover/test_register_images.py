"""What this site does not have, or has already: users, groups and names, each with a warning."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree
from samples import HERE, THERE, envelope, image, image_record, vm_record

from onedr.ceph.connection import Pool
from onedr.failover import failback_vms, register_images
from onedr.failover.snapshot_list_plan import Snapshot, SnapshotList
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.failover.target_site import Site, give
from onedr.model.errors import FrontEndError, OneDRError
from onedr.model.records import DiskRef
from onedr.model.site_map import Entry, SiteMap
from onedr.model.types import CephAccess, Settings
from onedr.opennebula import image_template
from onedr.opennebula.mapped import Owner
from onedr.opennebula.nics import Counterparts
from onedr.replication import ledger
from onedr.replication.inventory import VmItem


class Here:
    """A front-end with some users, groups and image names."""

    def __init__(self, *taken: str):
        self.taken, self.made, self.calls = set(taken), [], []  # type: ignore[var-annotated]
        self.alices: set[str] = set()  # names of images that alice has
        self.name, self.state = "", 1
        self.refusal = "USER [2] already owns IMAGE [4] with NAME {}"

    def allocate_image(self, description: Any, datastore_id: int) -> int:
        name = dict(description)["NAME"]
        if name in self.taken:
            raise FrontEndError(
                f"[one.image.allocate] Error allocating a new image. NAME is already taken by IMAGE 3: {name}"
            )
        self.made.append(name)
        self.name = name
        return 9

    def call(self, method: str, *arguments: Any) -> None:
        if method == "image.rename":
            if arguments[1] in self.taken:
                raise FrontEndError("[one.image.rename] NAME is already taken by IMAGE 3.")
            self.name = arguments[1]
        if method == "image.chown" and arguments[1] == 2 and self.name in self.alices:
            raise FrontEndError(f"[one.image.chown] {self.refusal.format(self.name)}")
        if method == "image.enable":
            self.state = 1 if arguments[1] else 3
        self.calls.append((method, *arguments))

    def update_image(self, image_id: int, attributes: Any) -> None:
        self.calls.append(("image.update", image_id))

    def image(self, image_id: int) -> etree._Element:
        bits = "".join(
            f"<{who}_{right}>0</{who}_{right}>" for who in ("OWNER", "GROUP", "OTHER") for right in "UMA"
        )
        return etree.fromstring(
            "<IMAGE><ID>9</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME>"
            f"<PERMISSIONS>{bits}</PERMISSIONS><STATE>{self.state}</STATE></IMAGE>"
        )


class Lists(SnapshotLists):
    """Lists that are only asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, SnapshotList]] = []

    def list_image(self, image_id: int, name: str, recorded: SnapshotList) -> None:
        self.asked.append((image_id, name, recorded))


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was noted in the ledger, which needs a pool."""
    entries: list[Any] = []
    monkeypatch.setattr(ledger, "begin", lambda pool, what: "word")
    monkeypatch.setattr(ledger, "note", lambda pool, kind, number, entry: entries.append((kind, number, entry)))
    monkeypatch.setattr(ledger, "change", lambda pool, kind, number, **changes: None)
    return entries


def site(frontend: Here) -> Site:
    pool = Pool(None, None, CephAccess("one"))
    users, groups = {"oneadmin": 0, "alice": 2}, {"oneadmin": 0, "users": 1}
    return Site(frontend, 100, pool, HERE, Settings(), users, groups, Counterparts())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("owner", "group", "owned", "warned"),
    [
        ("alice", "users", (2, 1), []),
        ("erik", "users", (0, 1), ["no user 'erik'"]),
        ("alice", "night", (2, 0), ["no group 'night'"]),
        ("erik", "night", None, ["no user 'erik'", "no group 'night'"]),
    ],
)
def test_whom_this_site_does_not_have_oneadmin_stands_in_for(
    owner: str, group: str, owned: Any, warned: list[str]
) -> None:
    here = Here()
    found = site(here)
    give(found, "image", 9, Owner(owner, group), "0" * 9, "one-1")
    assert here.calls == ([("image.chown", 9, *owned)] if owned else [])
    warnings = found.warnings.get("one-1", [])
    assert len(warnings) == len(warned) and all(part in text for part, text in zip(warned, warnings))


MAP = SiteMap(("north", "south"), {
    "users": (Entry((("al", "bo"), ("alice",))),), "groups": (Entry((("staff",), ("users",))), Entry((("crew",), ("gone",)))),
})


@pytest.mark.parametrize(("owner", "group", "home", "owned", "warned"), [
    ("al", "staff", False, (2, 1), []), ("al", "crew", False, (2, 0), ["group 'crew' of the other site is 'gone', which is missing here"]),
    ("alice", "staff", False, (0, 1), ["user 'alice' of the other site is not clear here"]),
    # at home its own stays where it is not clear, and where oneadmin stood for it there
    ("alice", "staff", True, (0, 1), []), ("oneadmin", "oneadmin", True, None, []), ("al", "staff", True, (2, 1), []),
])
def test_an_owner_is_given_as_the_mapping_has_him(
    owner: str, group: str, home: bool, owned: Any, warned: list[str]
) -> None:
    here = Here()
    found = site(here)
    found.counterparts = Counterparts(mapping=MAP.towards("south"))
    give(found, "image", 9, Owner(owner, group), "0" * 9, "one-1", home)
    assert here.calls == ([("image.chown", 9, *owned)] if owned else [])
    warnings = found.warnings.get("one-1", [])
    assert len(warnings) == len(warned) and all(part in text for part, text in zip(warned, warnings))


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ([], "data"),
        (["data"], "data-north"),
        (["data", "data-north"], "data-north-2"),
    ],
)
def test_a_name_that_is_taken_gets_the_sites_name_behind_it_and_that_is_said(
    taken: list[str], name: str
) -> None:
    here = Here(*taken)
    found = site(here)
    copy = image("one-1", image=envelope(image_record(name="data", persistent=True)))
    register_images.register_image(found, copy, None, Lists())
    assert here.made == [name]
    assert any("was taken" in text for text in found.warnings.get("one-1", [])) is bool(taken)


def test_when_no_such_name_is_free_it_is_said_what_to_do() -> None:
    here = Here("data", "data-north", *(f"data-north-{n}" for n in range(2, 10)))
    copy = image("one-1", image=envelope(image_record(name="data", persistent=True)))
    with pytest.raises(OneDRError, match="rename one of yours"):
        register_images.register_image(site(here), copy, None, Lists())


@pytest.mark.parametrize("refusal", [
    "USER [2] already owns IMAGE [4] with NAME {}", "IMAGE {} is already owned by IMAGE 4",
])
@pytest.mark.parametrize(("taken", "alices", "name"), [
    ([], ["data"], "data-north"),
    (["data-north"], ["data"], "data-north-2"),
    (["data"], ["data-north"], "data-north-2"),
])
def test_an_owner_who_has_an_image_of_that_name_here_gets_it_under_another(
    taken: list[str], alices: list[str], name: str, refusal: str
) -> None:
    """A base that every VM may be on: without it none of them comes."""
    here = Here(*taken)
    here.alices, here.refusal = set(alices), refusal
    found = site(here)
    copy = image("one-1", image=envelope(image_record(name="data", owner="alice", persistent=True)))
    register_images.register_image(found, copy, None, Lists())
    assert here.name == name and ("image.chown", 9, 2, 1) in here.calls
    assert any("has an image data here already" in text for text in found.warnings["one-1"])


@pytest.mark.parametrize("letter", ["a", "ü", "名"])
def test_the_longest_names_are_cut_in_bytes_and_stay_apart(letter: str) -> None:
    longest = letter * (128 // len(letter.encode()))
    names = {image_template.fitting_name(longest, ending) for ending in ("", "-north", "-north-2", "-disk-0", "-disk-1")}
    assert len(names) == 5 and all(len(name.encode()) <= 128 for name in names)
    here = Here(longest)
    copy = image("one-1", image=envelope(image_record(name=longest, persistent=True)))
    register_images.register_image(site(here), copy, None, Lists())
    assert here.name.endswith("-north") and len(here.name.encode()) <= 128


TREE = (("NEXT_SNAPSHOT", "2"), ("SNAPSHOT", (("ID", "1"), ("NAME", "before"), ("PARENT", "-1"))))


def test_its_snapshots_are_listed_before_it_counts_as_taken_over() -> None:
    here, lists = Here(), Lists()
    copy = image("one-1", image=envelope(image_record(persistent=True, snapshots=TREE)))
    register_images.register_image(site(here), copy, None, lists)
    assert lists.asked == [(9, "one-1", SnapshotList({1: Snapshot("before")}, -1, 2))]
    register_images.register_image(site(here), replace(copy, image=None), owner("one/one-1"), lists)
    assert lists.asked[1:] == [(9, "one-1", SnapshotList({1: Snapshot("before")}, -1, 2))]


def owner(rbd: str) -> VmItem:
    body = replace(
        vm_record(), disks=(DiskRef(0, rbd, 1, "data", True, True),),
        snapshots=(("SNAPSHOTS", (*TREE, ("DISK_ID", "0"))),),
    )
    return VmItem(f"{THERE}:42", envelope(body), body, (), (), ())


def test_an_image_that_was_disabled_is_disabled_here_before_it_counts_as_taken_over() -> None:
    here, disabled = Here(), image_record(persistent=True, template=(("ONEDR_DISABLED", "YES"), ("NOTE", "x")))
    for _ in range(2):  # a killed run is repeated
        register_images.register_image(site(here), image("one-1", image=envelope(disabled)), None, Lists())
    methods = [call[0] for call in here.calls]
    assert here.state == 3 and methods.count("image.enable") == 1
    assert methods.index("image.enable") < methods.index("image.update")
    assert image_template.portable_image(disabled.template) == (("NOTE", "x"),)


def test_only_an_image_that_no_vm_needs_is_disabled() -> None:
    here = Here()
    body = image_record(persistent=True, template=(("ONEDR_DISABLED", "YES"),))
    record = vm_record(disks=(DiskRef(0, "one/one-1", 7, "", False, True),))
    owner = VmItem(f"{THERE}:7", envelope(record), record, (), (), ())
    register_images.register_image(site(here), image("one-1", image=envelope(body)), owner, Lists())
    assert here.state == 1


def test_at_home_an_image_is_disabled_as_it_is_there_and_never_enabled_unasked() -> None:
    here = Here()
    failback_vms._follow_state(site(here), "one-1", 9, disabled=True)
    assert here.state == 3
    found = site(here)
    failback_vms._follow_state(found, "one-1", 9, disabled=True)
    assert not found.warnings
    failback_vms._follow_state(found, "one-1", 9, disabled=False)
    assert here.state == 3 and "oneimage enable 9" in found.warnings["one-1"][0]
