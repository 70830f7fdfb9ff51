"""Enabling protection of a datastore: blockers, ordered steps, warnings.

Pure.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onedr.model import names, template
from onedr.model import settings as model_settings
from onedr.model.errors import InputError
from onedr.model.template import Pairs
from onedr.model.text import Sentence, first_few
from onedr.model.types import DRIVER, MIB, STOCK_DRIVER, Mode, Settings
from onedr.replication import split_brain

VERBS = ("enable", "disable")
SYSTEM_DRIVERS = (DRIVER, STOCK_DRIVER, "ssh")  # of system datastores on which VMs with ceph_dr disks can run
# The attributes with which a stock `ceph` system datastore serves ceph_dr disks; also in TM_MAD_CONF
# (docs/opennebula-facts.md O18).
CEPH_MODE: Pairs = (("LN_TARGET_CEPH", "NONE"), ("CLONE_TARGET_CEPH", "SELF"), ("DISK_TYPE_CEPH", "RBD"))
# size of a journal while the peer keeps up: 4 objects of 16 MiB, Ceph's defaults
JOURNAL_BYTES = 64 * MIB


@dataclass(frozen=True)
class ConversionItem:
    """An RBD image of the datastore: an OpenNebula image or a VM's clone."""

    name: str
    holder: str  # `image 3` or `VM 7`
    label: str  # for people: `image 3 (web)`, `disk 0 of VM 7 (web)`
    exists: bool = True
    mode: Mode | None = None  # None: not mirrored
    primary: bool = True
    size: int = 0  # bytes
    parent: str = ""  # `pool/name` of what it is a clone of
    wanted: bool = True  # False: it or its VM has DR_PROTECT=NO
    blocker: str = ""  # why it cannot be processed now
    traces: bool = False  # has metadata of OneDR
    from_peer: bool = False  # created at the other site and taken over
    copied: bool = False  # the peer has a complete copy
    split: bool = False  # primary at the peer too
    parent_bytes: int = 0  # bytes that flattening it may take
    used_by: str = ""  # its clones that do not belong to this datastore
    locked_until: str = ""  # moment in UTC until which a point in time of it is locked
    unreadable: bool = False  # only oned's data is known, nothing of Ceph's; `blocker` says why


@dataclass(frozen=True)
class ItemVerdict:
    """The verdict for an item: `act`, `done`, `wait` or `leave`, and why."""

    item: ConversionItem
    what: str
    reason: str


@dataclass(frozen=True)
class Vm:
    """A VM with disks of the datastore.

    `driver`: the driver that its disks were created with, which never changes.
    """

    vm_id: int
    name: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name} ({self.vm_id})"


@dataclass(frozen=True)
class DatastoreFacts:
    """The datastore in oned."""

    name: str
    type: str  # `0`: an image datastore
    ds_mad: str
    tm_mad: str
    attributes: Pairs

    @property
    def enabled(self) -> bool:
        """Is it already a protected datastore?"""
        return (
            self.ds_mad == self.tm_mad == DRIVER
            and template.get(self.attributes, "DR_PROTECT").upper() == "YES"
        )

    def refusals(self) -> list[str]:
        """Why OneDR cannot protect it."""
        found: list[str] = []
        if self.type != "0":
            found.append(Sentence(
                f"{self.name} is not an image datastore. A stock ceph system datastore can be used for "
                "protected disks unchanged."
            ))
        elif not {self.ds_mad, self.tm_mad} <= {STOCK_DRIVER, DRIVER}:
            found.append(Sentence(
                f"{self.name} has DS_MAD={self.ds_mad} and TM_MAD={self.tm_mad}; only {STOCK_DRIVER} can be "
                "protected."
            ))
        elif template.get(self.attributes, "DISK_TYPE", "RBD") != "RBD":
            found.append(Sentence(
                f"{self.name} has DISK_TYPE={template.get(self.attributes, 'DISK_TYPE')}; only RBD can be "
                "protected."
            ))
        return found


@dataclass(frozen=True)
class EnableFacts:
    """Everything that `enable` decides on.

    `there`: names at the peer that are not copies of ours; None when it cannot be read.
    """

    datastore: DatastoreFacts
    requested: Pairs  # DR_ attributes given with the command
    items: tuple[ConversionItem, ...] = ()
    vms: tuple[Vm, ...] = ()
    pool_problem: str = ""
    one_way: bool = False  # the peer does not replicate back
    unknown_to_oned: tuple[str, ...] = ()  # lists of oned.conf without ceph_dr
    systems: tuple[str, ...] = ()  # TM_MAD of the system datastores in its clusters
    there: frozenset[str] | None = None
    split: frozenset[str] = frozenset()  # primary at both sites, and nothing says who is right
    shortage: str = ""  # why the pool lacks space for `bytes_needed`
    free_there: int | None = None  # bytes


@dataclass(frozen=True)
class ConversionPlan:
    """`changes`: attributes to set; `steps`: sentences in order. Refused when `refusals` is not empty."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    changes: Pairs
    steps: tuple[str, ...]
    verdicts: tuple[ItemVerdict, ...]

    def to_act(self) -> list[ConversionItem]:
        """The items to process."""
        return [verdict.item for verdict in self.verdicts if verdict.what == "act"]


def wanted_attributes(attributes: Pairs, requested: Pairs) -> Pairs:
    """The attributes of a protected datastore that `enable` sets."""
    given = dict(requested)
    kept = {"DR_MODE": template.get(attributes, "DR_MODE") or Mode.JOURNAL.value}
    return tuple({"DR_PROTECT": "YES", **kept, **given}.items())


def settings_of(datastore: DatastoreFacts, requested: Pairs) -> Settings:
    """The settings after enabling. Raises InputError that names every bad attribute."""
    wanted = wanted_attributes(datastore.attributes, requested)
    kept = template.without(datastore.attributes, *(key for key, _ in wanted))
    return model_settings.read_settings((*kept, *wanted), datastore.name)


def enable_plan(facts: EnableFacts) -> ConversionPlan:
    """What enabling does, or all reasons why it is refused."""
    datastore = facts.datastore
    refusals = datastore.refusals()
    try:
        settings = settings_of(datastore, facts.requested)
    except InputError as error:
        return ConversionPlan((*refusals, str(error)), (), (), (), ())
    verdicts = enable_verdicts(facts.items)
    acting = [verdict.item for verdict in verdicts if verdict.what == "act"]
    refusals += [
        text
        for text in (
            _unregistered(facts),
            facts.pool_problem and f"{facts.pool_problem[0].upper()}{facts.pool_problem[1:]}.",
            _system(facts),
            split_brain.split_refusal(facts.split, datastore.name),
            _other_mode(facts, settings),
            _collisions(facts),
            _index_taken(facts, settings),
            facts.shortage and f"Not enough space for journals and flattened clones: {facts.shortage}.",
        )
        if text
    ]
    if refusals:
        return ConversionPlan(tuple(refusals), (), (), (), verdicts)
    changes = _changes(datastore, facts.requested)
    warnings = tuple(_warnings(facts, settings, acting))
    return ConversionPlan((), warnings, changes, _enable_steps(datastore, changes, acting), verdicts)


def _changes(datastore: DatastoreFacts, requested: Pairs) -> Pairs:
    wanted = (*wanted_attributes(datastore.attributes, requested), *CEPH_MODE)
    changed = [(key, value) for key, value in wanted if template.get(datastore.attributes, key) != value]
    drivers = (("DS_MAD", datastore.ds_mad), ("TM_MAD", datastore.tm_mad))
    return (*changed, *((key, DRIVER) for key, there in drivers if there != DRIVER))


def _enable_steps(datastore: DatastoreFacts, changes: Pairs, acting: list[ConversionItem]) -> tuple[str, ...]:
    if datastore.enabled and not changes and not acting:
        return ("Already protected; missing records will be written.",)
    size = sum(item.size for item in acting) / 1024 / MIB
    return (
        "Set the DR_ attributes and the drivers ceph_dr in one update; all other attributes are kept.",
        f"Mirror {len(acting)} image(s) and disk(s), {size:.1f} GiB at most, bases before their clones; "
        "write all records.",
        "The keeper tracks the initial copies; see onedr status.",
    )


def enable_verdicts(items: Iterable[ConversionItem]) -> tuple[ItemVerdict, ...]:
    """The verdict for each item; `done`: it is mirrored."""
    return tuple(ItemVerdict(item, *_enable_verdict(item)) for item in items)


def _enable_verdict(item: ConversionItem) -> tuple[str, str]:
    if not item.wanted:
        return "leave", "it has DR_PROTECT=NO"
    if item.blocker:
        return "wait", item.blocker
    if not item.exists:
        return "wait", "there is no RBD image of this name"
    if not item.primary:
        return "leave", "it is the peer's copy here"
    return ("done", "mirrored already") if item.mode else ("act", "")


def _unregistered(facts: EnableFacts) -> str:
    if not facts.unknown_to_oned:
        return ""
    return (
        f"oned does not know ceph_dr in {', '.join(facts.unknown_to_oned)}: run install.sh and restart oned."
    )


def _system(facts: EnableFacts) -> str:
    if any(driver in SYSTEM_DRIVERS for driver in facts.systems):
        return ""
    return (
        f"No system datastore in its clusters has TM_MAD {', '.join(SYSTEM_DRIVERS)}, so no VM could use it. "
        "Create one."
    )


def _other_mode(facts: EnableFacts, settings: Settings) -> str:
    other = [item.name for item in facts.items if item.mode not in (None, settings.mode) and item.primary]
    if not other:
        return ""
    return (
        f"{first_few(other)} mirrored in another mode than {settings.mode.value}. Keep the mode, or change "
        "it with onedr disable and onedr enable, which copies all data again."
    )


def _collisions(facts: EnableFacts) -> str:
    own = {item.name for item in facts.items if item.exists and item.primary} - facts.split
    both = sorted(own & (facts.there or frozenset()))
    if not both:
        return ""
    return (
        f"The peer has images of its own with the same names: {first_few(both)}. A name can be mirrored from "
        "one site only. Copy these images to a datastore in another pool, or remove the images at the peer."
    )


def _index_taken(facts: EnableFacts, settings: Settings) -> str:
    ours = {item.name for item in facts.items}
    same = sorted(
        name for name in facts.there or () if names.index_of(name) == settings.site_index and name not in ours
    )
    if not same:
        return ""
    return (
        f"The peer itself creates images with site index {settings.site_index} ({first_few(same)}), so new "
        "names would collide. Choose another with --site-index."
    )


def bytes_needed(items: Iterable[ConversionItem], settings: Settings) -> int:
    """Additional bytes that enabling may take in the pool:
    journals, and the data that flattened clones copy from their bases.
    """
    acting = [item for item in items if _enable_verdict(item)[0] == "act"]
    flattened = sum(item.parent_bytes for item in acting) if flattens(settings) else 0
    return flattened + (JOURNAL_BYTES * len(acting) if settings.mode is Mode.JOURNAL else 0)


def flattens(settings: Settings) -> bool:
    """Are clones flattened before they are mirrored?"""
    return settings.flatten_clones or settings.mode is Mode.SNAPSHOT


def _warnings(facts: EnableFacts, settings: Settings, acting: list[ConversionItem]) -> list[str]:
    found = []
    if facts.there is None:
        found.append(
            "The peer's images cannot be read, so equal names there are not detected; see onedr status."
        )
    foreign = [item.name for item in acting if names.index_of(item.name) not in (None, settings.site_index)]
    if foreign:
        found.append(
            f"Existing images keep their names ({first_few(foreign)}), which belong to another site index. "
            "The site with that index cannot create images with these ids while they exist."
        )
    strange = [item.label for item in facts.items if item.exists and not names.is_managed(item.name)]
    if strange:
        found.append(
            f"A failover does not recover images whose RBD names are not OpenNebula's: {first_few(strange)}."
        )
    if facts.one_way:
        found.append("The pool is mirrored in one direction only, so a failback will not be possible.")
    size = sum(item.size for item in acting)
    if facts.free_there is not None and size > facts.free_there:
        found.append(
            f"The peer has {facts.free_there // MIB} MiB free for up to {size // MIB} MiB of copies."
        )
    stock = [str(vm) for vm in facts.vms if vm.driver == STOCK_DRIVER]
    if stock:
        found.append(
            f"Existing disks keep the stock driver until they are recreated: {first_few(stock)}. Their "
            "snapshot revert and flatten replace the image, and reconcile then mirrors the new one from the "
            "start."
        )
    return found

