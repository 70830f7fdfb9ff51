"""Moving a datastore into protection: what is in the way, what is done in which order, what is to know.

Pure.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onedr.model import names, template
from onedr.model import settings as model_settings
from onedr.model.errors import InputError
from onedr.model.template import Pairs
from onedr.model.text import first_few
from onedr.model.types import DRIVER, MIB, STOCK_DRIVER, Mode, Settings

VERBS = ("enable", "disable")
SYSTEM_DRIVERS = (DRIVER, STOCK_DRIVER, "ssh")  # of system datastores that can hold a VM on ceph_dr disks
# What lets a stock `ceph` system datastore serve ceph_dr disks; also part of TM_MAD_CONF
# (docs/opennebula-facts.md O18).
CEPH_MODE: Pairs = (("LN_TARGET_CEPH", "NONE"), ("CLONE_TARGET_CEPH", "SELF"), ("DISK_TYPE_CEPH", "RBD"))
# of a journal that the peer keeps up with: 4 objects of 16 MiB, Ceph's defaults
JOURNAL_BYTES = 64 * MIB


@dataclass(frozen=True)
class ConversionItem:
    """An RBD image of the datastore: that of an OpenNebula image, or a VM's clone."""

    name: str
    holder: str  # `image 3` or `VM 7`
    label: str  # for people: `image 3 (web)`, `disk 0 of VM 7 (web)`
    exists: bool = True
    mode: Mode | None = None  # None: not mirrored
    primary: bool = True
    size: int = 0  # bytes
    parent: str = ""  # `pool/name` of what it is a clone of
    wanted: bool = True  # False: it or its VM says DR_PROTECT=NO
    blocker: str = ""  # why nothing can be done to it now
    traces: bool = False  # carries metadata of OneDR
    from_peer: bool = False  # made at the other site and taken over
    copied: bool = False  # the peer has a complete copy
    split: bool = False  # primary at the peer too
    parent_bytes: int = 0  # bytes that flattening it may take
    used_by: str = ""  # clones of it that are not this datastore's
    unreadable: bool = False  # nothing of the above is known but what oned says; `obstacle` says why


@dataclass(frozen=True)
class ItemVerdict:
    """What becomes of an item: `act`, `done` already, `wait` or `leave`, and why."""

    item: ConversionItem
    what: str
    reason: str


@dataclass(frozen=True)
class Vm:
    """A VM with disks of the datastore; `driver` is the one its disks were made with, fixed for their lives.
    """

    vm_id: int
    name: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name} ({self.vm_id})"


@dataclass(frozen=True)
class DatastoreFacts:
    """The datastore as oned shows it."""

    name: str
    type: str  # `0` is an image datastore
    ds_mad: str
    tm_mad: str
    attributes: Pairs

    @property
    def enabled(self) -> bool:
        """Is it a protected datastore already?"""
        return (
            self.ds_mad == self.tm_mad == DRIVER
            and template.get(self.attributes, "DR_PROTECT").upper() == "YES"
        )

    def refusals(self) -> list[str]:
        """Why OneDR has nothing to do with it."""
        found = []
        if self.type != "0":
            found.append(
                f"{self.name} is no image datastore; a stock ceph system datastore serves protected disks as "
                "it is."
            )
        elif not {self.ds_mad, self.tm_mad} <= {STOCK_DRIVER, DRIVER}:
            found.append(
                f"{self.name} has DS_MAD={self.ds_mad} and TM_MAD={self.tm_mad}; only {STOCK_DRIVER} can be "
                "protected."
            )
        elif template.get(self.attributes, "DISK_TYPE", "RBD") != "RBD":
            found.append(
                f"{self.name} has DISK_TYPE={template.get(self.attributes, 'DISK_TYPE')}; only RBD can be "
                "protected."
            )
        return found


@dataclass(frozen=True)
class EnableFacts:
    """Everything `enable` decides on.

    `there`: names at the peer that are not copies of ours, None when it cannot be read.
    """

    datastore: DatastoreFacts
    requested: Pairs  # DR_ attributes given with the command
    items: tuple[ConversionItem, ...] = ()
    vms: tuple[Vm, ...] = ()
    pool_problem: str = ""
    one_way: bool = False  # nothing comes back from the peer
    unknown_to_oned: tuple[str, ...] = ()  # lists of oned.conf without ceph_dr
    systems: tuple[str, ...] = ()  # TM_MAD of the system datastores in its clusters
    there: frozenset[str] | None = None
    shortage: str = ""  # why the pool has no room for `bytes_needed`
    free_there: int | None = None  # bytes


@dataclass(frozen=True)
class ConversionPlan:
    """`changes`: attributes to set; `steps`: sentences in order; refused when `refusals` is not empty."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    changes: Pairs
    steps: tuple[str, ...]
    verdicts: tuple[ItemVerdict, ...]

    def to_act(self) -> list[ConversionItem]:
        """Items something is to be done to."""
        return [verdict.item for verdict in self.verdicts if verdict.what == "act"]


def wanted_attributes(attributes: Pairs, requested: Pairs) -> Pairs:
    """The attributes that a protected datastore shall have, as far as `enable` sets them."""
    given = dict(requested)
    kept = {"DR_MODE": template.get(attributes, "DR_MODE") or Mode.JOURNAL.value}
    return tuple({"DR_PROTECT": "YES", **kept, **given}.items())


def settings_of(datastore: DatastoreFacts, requested: Pairs) -> Settings:
    """The settings after enabling. Raises InputError that names every bad attribute."""
    wanted = wanted_attributes(datastore.attributes, requested)
    kept = template.without(datastore.attributes, *(key for key, _ in wanted))
    return model_settings.read_settings((*kept, *wanted), datastore.name)


def enable_plan(facts: EnableFacts) -> ConversionPlan:
    """What enabling does, or why it is refused: every reason at once."""
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
            _other_mode(facts, settings),
            _collisions(facts),
            _index_taken(facts, settings),
            facts.shortage and f"No room for journals and flattened clones: {facts.shortage}.",
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
        return ("It is protected already; what its records miss is repaired.",)
    size = sum(item.size for item in acting) / 1024 / MIB
    return (
        "Set the DR_ attributes and the drivers ceph_dr in one update; everything else of the datastore "
        "stays.",
        f"Mirror {len(acting)} image(s) and disk(s), {size:.1f} GiB at the most, bases before their clones; "
        "write all records.",
        "The keeper follows the first copies; onedr status shows them.",
    )


def enable_verdicts(items: Iterable[ConversionItem]) -> tuple[ItemVerdict, ...]:
    """What becomes of each item: `done` is one that is mirrored."""
    return tuple(ItemVerdict(item, *_enable_verdict(item)) for item in items)


def _enable_verdict(item: ConversionItem) -> tuple[str, str]:
    if not item.wanted:
        return "leave", "it says DR_PROTECT=NO"
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
        f"No system datastore in its clusters has TM_MAD {', '.join(SYSTEM_DRIVERS)}, so no VM could use it; "
        "make one."
    )


def _other_mode(facts: EnableFacts, settings: Settings) -> str:
    other = [item.name for item in facts.items if item.mode not in (None, settings.mode) and item.primary]
    if not other:
        return ""
    return (
        f"{first_few(other)} mirrored in another mode than {settings.mode.value}. Keep the mode, or change "
        "it by onedr disable and enable, which copies everything anew."
    )


def _collisions(facts: EnableFacts) -> str:
    own = [item.name for item in facts.items if item.exists and item.primary]
    both = sorted(set(own) & (facts.there or frozenset()))
    if not both:
        return ""
    return (
        f"The peer has images of its own with the same names: {first_few(both)}. A name can be mirrored from "
        "one site only; copy these images to new ones in a datastore of another pool, or free the names at "
        "the peer."
    )


def _index_taken(facts: EnableFacts, settings: Settings) -> str:
    ours = {item.name for item in facts.items}
    same = sorted(
        name for name in facts.there or () if names.index_of(name) == settings.site_index and name not in ours
    )
    if not same:
        return ""
    return (
        f"The peer itself makes images with site index {settings.site_index} ({first_few(same)}): new names "
        "would collide. Choose another with --site-index."
    )


def bytes_needed(items: Iterable[ConversionItem], settings: Settings) -> int:
    """Room that enabling may take in the pool beside what is there: journals, and what flattened clones hold
    of their bases.
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
            "The peer's images cannot be read, so nothing is known of equal names there; see onedr status."
        )
    foreign = [item.name for item in acting if names.index_of(item.name) not in (None, settings.site_index)]
    if foreign:
        found.append(
            f"Existing images keep their names ({first_few(foreign)}), which are those of another site "
            "index: the site that has it cannot make images of these ids while these exist."
        )
    strange = [item.label for item in facts.items if item.exists and not names.is_managed(item.name)]
    if strange:
        found.append(
            f"No failover brings back images whose RBD names are not OpenNebula's: {first_few(strange)}."
        )
    if facts.one_way:
        found.append("The pool is mirrored one way only: there will be no way back after a failover.")
    size = sum(item.size for item in acting)
    if facts.free_there is not None and size > facts.free_there:
        found.append(
            f"The peer has {facts.free_there // MIB} MiB free for at most {size // MIB} MiB of copies."
        )
    stock = [str(vm) for vm in facts.vms if vm.driver == STOCK_DRIVER]
    if stock:
        found.append(
            f"Disks made before keep the stock driver until they are made anew: {first_few(stock)}. Their "
            "snapshot revert and flatten put another image under the name, which reconcile mirrors from the "
            "start."
        )
    return found

