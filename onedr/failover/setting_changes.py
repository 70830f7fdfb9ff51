"""Settings of a VM at home against those it has at the other site: what oned can set here follows
(one.vm.updateconf), the rest is named. Pure.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from onedr.failover import failback_plan, nic_changes
from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes, files, vm_template
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.objects import BACKUP_SETTINGS
from onedr.opennebula.own_marks import NO_SECRETS, STAND_IN
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets

# What updateconf sets in every release since 6.10 (docs/opennebula-facts.md O40). Of CONTEXT it takes all.
_SETTABLE: Mapping[str, frozenset[str]] = {
    section: frozenset(names.split()) for section, names in {
        "OS": "ARCH MACHINE KERNEL INITRD BOOTLOADER BOOT KERNEL_CMD ROOT SD_DISK_BUS UUID FIRMWARE",
        "FEATURES": "PAE ACPI APIC LOCALTIME HYPERV GUEST_AGENT VIRTIO_SCSI_QUEUES VIRTIO_BLK_QUEUES "
                    "IOTHREADS",
        "INPUT": "TYPE BUS",
        "GRAPHICS": "TYPE LISTEN PASSWD KEYMAP COMMAND",
        "VIDEO": "IOMMU ATS TYPE VRAM RESOLUTION",
        "RAW": "TYPE DATA VALIDATE DATA_VMX",
        "CPU_MODEL": "MODEL",
        "BACKUP_CONFIG": "FS_FREEZE KEEP_LAST",  # the others end a chain of backups, which is here
    }.items()
}
_NEVER_ERASED = ("CONTEXT", "BACKUP_CONFIG")  # oned leaves them as they are where they are not named
_DEFAULTS = ("MACHINE", "UUID")  # oned's own where a VM is made without: nobody may have changed them there
_SET_IN = ("PENDING", "HOLD", "POWEROFF", "UNDEPLOYED")
# Parts of a section that differ between the sites by themselves, or are said on their own.
_APART: Mapping[str, tuple[str, ...]] = {
    "OS": ("BOOT",), "GRAPHICS": ("PORT", "PREVIOUS_PORT"), "TPM": (),
    "BACKUP_CONFIG": ("DISK_IDS",), "CONTEXT": ("FILES", "FILES_DS", "TARGET"),
}
_PARTS = (*_APART, "FEATURES", "INPUT", "VIDEO", "RAW", "CPU_MODEL")
# These follow on their own; oned itself completes a topology.
_CAPACITY = ("CPU", "VCPU", "MEMORY", "TOPOLOGY")


@dataclass(frozen=True)
class Change:
    """A setting that is another one there: `value`, empty where it is not set there. A `key` that is empty
    means the whole section. `follows`: oned can set it here.
    """

    section: str
    key: str
    value: str = ""
    follows: bool = False

    @property
    def name(self) -> str:
        """As people are told of it."""
        return f"{self.section}/{self.key}" if self.key else self.section


@dataclass(frozen=True)
class Update:
    """What one.vm.updateconf is called with: `sections`, which take the place of what the VM has (`replaces`)
    or are put on top of it; `stand_ins`: attributes that the VM needs to have meanwhile.
    """

    sections: Pairs
    replaces: bool
    stand_ins: Pairs


def stays(name: str) -> str:
    """Of a setting that does not follow."""
    return f"{name} was changed at the other site: it stays as it is here"


def changes(home: PeerVm, there: VmRecord, here: Counterparts) -> list[Change]:
    """What differs of the VM here, its template as a record has it."""
    own = home.template
    found = [*_plain(own, there.template), *_parts_of(own, there), *_boot(home, there, here)]
    left = {
        section for section in {each.section for each in found}
        if home.state not in _SET_IN or not _can_be_set(section, own, there.template, found)
    }
    return [replace(each, follows=False) if each.section in left else each for each in found]


def _can_be_set(section: str, own: Pairs, there: Pairs, found: Iterable[Change]) -> bool:
    """Not where the VM has several such sections (oned changes the first), where it has no CONTEXT (oned
    makes none later), nor where oned would drop what it cannot set with the last that it can.
    """
    mine, theirs = (list(template.vectors(pairs, section)) for pairs in (own, there))
    if max(len(mine), len(theirs)) > 1:
        return False
    if section == "CONTEXT" and not (mine and theirs):
        return False
    kept = {key for key, value in (mine or [()])[0] if value}
    gone = {each.key for each in found if each.section == section and not each.value}
    if section in _NEVER_ERASED:
        return bool(kept - gone or not gone)
    fixed = kept - _SETTABLE.get(section, frozenset())
    return bool((kept - fixed - gone) or not gone or not fixed)


def _plain(own: Pairs, there: Pairs) -> Iterator[Change]:
    """Attributes that are kept as they are, and that oned sets when a VM is made only."""
    kept = {key for key, rule in attributes.VM.items() if rule.treatment is Treatment.KEPT}
    kept -= {*_CAPACITY, *_PARTS}
    for key in sorted(kept & {name for pairs in (own, there) for name, _ in pairs}):
        if _values(own, key) != _values(there, key):
            yield Change(key, "")


def _values(pairs: Pairs, key: str) -> list[object]:
    """Of an attribute, without what is empty; vectors in any order of their parts."""
    found = [value for name, value in pairs if name == key and value]
    return [value if isinstance(value, str) else sorted(part for part in value if part[1]) for value in found]


def _parts_of(own: Pairs, there: VmRecord) -> Iterator[Change]:
    """Part by part. What may be among secrets that were not opened, or never arrived there, is not compared.
    """
    marked = (*there.template, *there.user_template)
    sealed = any(template.get(marked, key) for key in (secrets.ENCRYPTED, secrets.WITHHELD, NO_SECRETS))
    for section in _PARTS:
        if _values(own, section) == _values(there.template, section):
            continue
        mine, theirs = _parts(own, section), _parts(there.template, section)
        for key in sorted(mine.keys() | theirs.keys()):
            hidden = sealed and key not in theirs
            if mine.get(key, "") != theirs.get(key, "") and not hidden:
                settable = section == "CONTEXT" or key in _SETTABLE.get(section, ())
                settable = settable and not (section == "OS" and key in _DEFAULTS and key not in mine)
                yield Change(section, key, theirs.get(key, ""), settable)
        if mine == theirs and section not in _APART:
            yield Change(section, "")  # of several such sections another one


def _parts(pairs: Pairs, section: str) -> dict[str, str]:
    found: Pairs = next(template.vectors(pairs, section), ())
    return {
        key: value for key, value in found
        if isinstance(value, str) and value and key not in _APART.get(section, ())
        and not (section == "OS" and (key.startswith(files.OS_FILES) or template.get(found, f"{key}_DS")))
        and not (section == "CONTEXT" and vm_template.is_generated(key))
        and not (section == "BACKUP_CONFIG" and key not in BACKUP_SETTINGS)
    }


def _boot(home: PeerVm, there: VmRecord, here: Counterparts) -> Iterator[Change]:
    """The boot order, of disks by their RBD image and of NICs by which is which; what is not there is no
    difference. It follows where each device of both orders is at both sites.
    """
    mine = {number: name for name, number in failback_plan.disk_names(home.template, home.vm_id).items()}
    theirs = {
        str(disk.disk_id): str(disk.rbd).rpartition("/")[2] for disk in there.disks if not disk.to_clone
    }
    nics_here = nic_changes.same_nics(home.template, there.template, here)
    known = {f"disk{number}" for number, name in mine.items() if name in theirs.values()}
    known |= {f"nic{number}" for number in nics_here.values()}
    own = [each for each in _order(home.template) if each in known]
    numbers = {name: number for number, name in mine.items()}
    translated = {
        **{f"disk{number}": f"disk{numbers[name]}" for number, name in theirs.items() if name in numbers},
        **{f"nic{number}": f"nic{mine_too}" for number, mine_too in nics_here.items()},
    }
    order = _order(there.template)
    wanted = [translated[each] for each in order if each in translated]
    complete = len(wanted) == len(order) and known.issuperset(_order(home.template))
    if own != wanted:
        yield Change("OS", "BOOT", ",".join(wanted), complete)


def _order(pairs: Pairs) -> list[str]:
    found: Pairs = next(template.vectors(pairs, "OS"), ())
    return [each.strip() for each in template.get(found, "BOOT").split(",") if each.strip()]


def update(own: Pairs, wanted: Iterable[Change]) -> Update:
    """The call that makes these changes of a VM that has `own`. Only what replaces can take a setting off; it
    then repeats all that the VM has. A new value of CONTEXT with a `$` goes by an attribute that stands for
    it, because oned resolves it once.
    """
    stand_ins: list[tuple[str, str]] = []
    new: dict[str, dict[str, str]] = {}
    for each in wanted:
        value = each.value
        if each.section == "CONTEXT" and "$" in value:
            stand_ins.append((f"{STAND_IN}{len(stand_ins)}", value))
            value = f"${stand_ins[-1][0]}"
        new.setdefault(each.section, {})[each.key] = value
    replaces = any(not value for parts in new.values() for value in parts.values())
    sections = _whole(own, new) if replaces else [(key, tuple(parts.items())) for key, parts in new.items()]
    return Update(tuple(sections), replaces, tuple(stand_ins))


def _whole(own: Pairs, new: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, Pairs]]:
    """All sections, in which oned erases what is not named."""
    for section in (*_SETTABLE, "CONTEXT"):
        if section in _NEVER_ERASED and section not in new:
            continue
        first: Pairs = next(template.vectors(own, section), ())
        parts = {**{key: value for key, value in first if isinstance(value, str)}, **new.get(section, {})}
        kept = tuple((key, value) for key, value in parts.items() if value)
        if kept:
            yield section, kept
