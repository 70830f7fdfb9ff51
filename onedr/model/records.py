"""What OneDR stores on images and in pools: records, marks, epochs, site info. Frozen data.

Apart from `types` because most drivers do not need it, and each class costs half a millisecond to define.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onedr.model.template import Pairs
from onedr.model.types import Mode


@dataclass(frozen=True)
class ImageRecord:
    """The definition of an OpenNebula image (key `onedr.image`)."""

    image_id: int
    name: str
    type: int
    persistent: bool
    size_mib: int
    owner: str
    group: str
    permissions: str  # nine digits 0 or 1: use, manage, admin for owner, group, other
    datastore: str
    template: Pairs = ()
    snapshots: Pairs = ()
    origin: str = ""  # of an image that was taken over: `<cluster id>:<image id>` where it came from
    stands_for: str = ""  # RBD name there, when it has another here
    datastore_id: int = -1  # at the site that wrote the record; -1: an earlier release wrote it


# Reasons of a disk that is not there yet. Earlier releases leave a VM out that has one, with the reason.
NOT_CLONED = "it is cloned when the VM is first deployed"
NOT_COPIED = "its image is still being copied"


@dataclass(frozen=True)
class DiskRef:
    """A disk of a VM. `rbd` is `pool/image`; None when it is not an RBD image of ours, and `reason` says why.
    """

    disk_id: int
    rbd: str | None
    image_id: int | None
    image_name: str
    clone: bool
    protected: bool
    reason: str = ""
    datastore: str = ""  # name of its datastore there
    datastore_id: int = -1  # its id there; -1: an earlier release wrote it
    shared: bool = False  # several VMs may use it at once (a CDROM, SHAREABLE); it carries no VM record

    @property
    def to_clone(self) -> bool:
        """Is it a clone that is made when its VM, which was never deployed, first is?"""
        return self.reason == NOT_CLONED


@dataclass(frozen=True)
class VmRecord:
    """What is needed to start a VM elsewhere (key `onedr.vm`)."""

    vm_id: int
    name: str
    owner: str
    group: str
    permissions: str
    state: str
    template: Pairs
    user_template: Pairs
    disks: tuple[DiskRef, ...]
    snapshots: Pairs = ()  # one SNAPSHOTS tree for each disk that has any; DISK_ID says which
    origin: str = ""  # of a VM that was recovered: `<cluster id>:<vm id>` where it came from


class Proof(Enum):
    """Whether a record is what a holder of the record key wrote for the image it was read from."""

    UNCHECKED = "unchecked"  # this site has no record key
    AUTHENTIC = "authentic"
    UNSIGNED = "unsigned"
    FORGED = "forged"


@dataclass(frozen=True)
class Envelope:
    """A record with its origin: where and when it was written, and in which order.

    `proof` and `doubt` are what the reader makes of it; they are no part of the record.
    """

    schema: int
    site: str  # the writing site's name, for people
    fsid: str  # its Ceph cluster, which identifies the site
    mon_host: str
    generation: int
    written_at: float  # seconds since the epoch, clock of the writing site
    body: ImageRecord | VmRecord
    proof: Proof = field(default=Proof.UNCHECKED, compare=False)
    doubt: str = field(default="", compare=False)  # why only the operator's word makes it count


@dataclass(frozen=True)
class Mark:
    """A time mark (key `onedr.mark`).

    A copy that carries it contains everything written to the image before `at`.
    """

    at: float  # seconds since the epoch, clock of the primary site
    replaying: bool  # written while the copy was replaying; an earlier mark may arrive before the data


@dataclass(frozen=True)
class Epoch:
    """The promotion epoch of an image (key `onedr.term`), a fencing token:
    of two primaries the one with the lower `number` is stale.
    """

    number: int  # grows by one with each promotion by OneDR; -1: present but unreadable
    fsid: str  # the promoting site's Ceph cluster
    site: str  # its name, for people
    at: float  # seconds since the epoch
    # the recovery point that was promoted: later writes of the other site are missing; None: unknown
    point: float | None


@dataclass(frozen=True)
class PointNote:
    """A point in time of a disk (replication.points), of which a group snapshot holds the content.

    `stall_s`: how long writers waited at most while it was taken; `pin`: why it is kept, empty for none;
    `until`: nothing takes it away before that moment (epoch seconds), 0.0: it was never locked.
    """

    at: float  # seconds since the epoch, clock of the site that took it: everything written before is in it
    stall_s: float
    pin: str = ""
    until: float = 0.0


@dataclass(frozen=True)
class ImageFacts:
    """One mirrored image at this site, read from the image itself
    (docs/design.md, "The mirror status is a hint").
    """

    name: str
    rbd_id: str
    size: int  # bytes
    mode: Mode | None  # None: not mirrored
    primary: bool
    complete: bool
    recovery_point: float | None
    parent: str | None = None
    vm: Envelope | None = None
    image: Envelope | None = None
    problems: tuple[str, ...] = field(default=())
    epoch: Epoch | None = None  # None: never promoted by OneDR
    # not primary, and the last writes made here never reached the peer: it cannot take over
    stale: bool = False
    bad_vm: str = ""  # why the record of its VM cannot be read; one of `problems`
    # records of VMs that read through it and have no disk of their own (replication.reader_records)
    readers: tuple[Envelope, ...] = ()
    bad_readers: tuple[str, ...] = ()  # what is wrong with such records
    snapshots: frozenset[str] | None = None  # names of users' snapshots; read of copies only, else None
    global_id: str = ""  # its mirroring id; empty without one
    points: Mapping[str, PointNote] = field(default_factory=dict)  # noted on it, by name of their snapshot
    group_snapshots: frozenset[str] = frozenset()  # names of those that it has


@dataclass(frozen=True)
class ProbeResult:
    """What a probe measured of mirroring in one mode between two sites (check.probe).

    None: the probe ended before that was measured.
    """

    mode: Mode
    at: float  # when it started, seconds since the epoch
    here: str  # cluster id of the site that ran the probe, whose images were mirrored first
    there: str
    releases: tuple[str, ...]  # of Ceph, of all daemons at both sites, such as `16.2.15`
    seconds: float = 0.0
    arrives: bool | None = None  # the initial copy and later writes were equal at the peer
    discards: bool | None = None  # discarded data was gone at the peer too
    # after a write to an object that only the clone's parent had, the clone was equal at the peer
    clones: bool | None = None
    returns: bool | None = None  # after a role change, writes made at the peer were equal here
    why: str = ""  # why it ended early


@dataclass(frozen=True)
class SiteInfo:
    """What a site publishes about a datastore in its pool,
    for the other site to read (replication.site_info).
    """

    fsid: str
    site: str
    site_index: int
    datastore: str
    mode: str
    network_map: tuple[tuple[str, str], ...] = ()
    key: str = ""  # fingerprint of its record key; empty: the site has none
    options: tuple[tuple[str, str], ...] = ()  # of its rbd-mirror, and what its OneDR can read
