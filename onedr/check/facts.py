"""What `onedr check` judges by.

Each fact is known, or `Unknown` with the reason: nothing is well by default.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar, Union

from onedr.failover.placement import Placement
from onedr.model.records import ImageFacts, ProbeResult, SiteInfo
from onedr.model.types import Mode, PeerState, Settings
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.runs.state import StateVerdict


@dataclass(frozen=True)
class Unknown:
    """Why something could not be looked at."""

    reason: str


Value = TypeVar("Value")
Known = Union[Value, Unknown]
UNASKED = Unknown("nobody looked")


class Level(str, Enum):
    """How bad a finding is.

    A problem: protection or a failover suffers. A warning: it may, or nobody knows.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class CheckResult:
    """One sentence of a check, and what to type; empty when nothing is to be done."""

    level: Level
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Finding:
    """The same with its code; `subject` is the datastore, or empty for what concerns the whole site."""

    code: str
    level: Level
    text: str
    todo: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Peering:
    """How a pool is mirrored. `directions` of its peers: `rx-tx`, `rx`, `tx`."""

    per_image: bool
    directions: tuple[str, ...]


@dataclass(frozen=True)
class Mirrors:
    """rbd-mirror of a cluster: how many daemons it knows, and of how many of the pool's mirrored images one
    reports.

    Ceph forgets a daemon that died after about a minute, its reports after 30 s.
    """

    daemons: int
    images: int = 0
    reported: int = 0


@dataclass(frozen=True)
class Replicas:
    """A pool's `size` and `min_size`."""

    size: int
    min_size: int


@dataclass(frozen=True)
class Room:
    """Bytes of a pool in use and free (what Ceph calls max_avail), and alarms such as OSD_NEARFULL."""

    used: int
    free: int
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterFacts:
    """One site's Ceph. `settings`: of rbd-mirror, by option; `schedules`: images with one of their own."""

    fsid: Known[str] = UNASKED
    peering: Known[Peering] = UNASKED
    mirrors: Known[Mirrors] = UNASKED
    releases: Known[tuple[str, ...]] = UNASKED
    replicas: Known[Replicas] = UNASKED
    room: Known[Room] = UNASKED
    settings: Known[Mapping[str, str]] = UNASKED
    card: Known[SiteInfo | None] = UNASKED


@dataclass(frozen=True)
class TargetFacts:
    """A site that would start VMs. `local`, `recovered`: its own VMs on the pool, as in plan.Facts; `models`,
    `machines`: of its hosts, None when they do not tell; `registered`: RBD names that are images there;
    `image_names`: (owner, name) of all.
    """

    ground: Placement
    users: frozenset[str]
    groups: frozenset[str]
    fsid: str = ""
    local: Mapping[str, PeerVm] = field(default_factory=dict)
    recovered: Mapping[str, Recovered] = field(default_factory=dict)
    models: frozenset[str] | None = None
    machines: frozenset[str] | None = None
    registered: frozenset[str] = frozenset()
    image_names: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class CheckFacts:
    """Everything a datastore's checks are judged by."""

    datastore: str
    settings: Settings
    here: ClusterFacts = field(default_factory=ClusterFacts)
    there: ClusterFacts = field(default_factory=ClusterFacts)
    peer: Known[tuple[PeerState, str]] = UNASKED  # do the peer's monitors answer, and a sentence
    readable: Known[bool] = UNASKED  # may the peer's Ceph be read from here
    verdict: Known[StateVerdict] = UNASKED  # the datastore's state
    unprotected: Known[Mapping[str, str]] = UNASKED  # items that are not mirrored, and why
    images: Known[tuple[ImageFacts, ...]] = UNASKED
    clashes: Known[tuple[str, ...]] = UNASKED  # names that both sites use for images of their own
    schedules: Known[frozenset[str]] = UNASKED  # images that have a mirror snapshot schedule here
    snapshots_kept: Known[int] = UNASKED  # rbd_mirroring_max_mirroring_snapshots
    clock_s: Known[tuple[float, float]] = UNASKED  # the peer's clock is ahead by something between these
    proofs: Known[Mapping[Mode, ProbeResult]] = UNASKED
    networks: Known[frozenset[str]] = UNASKED  # names of the virtual networks here
    disk_drivers: Known[tuple[str, ...]] = UNASKED  # VM_MAD of the hosts here
    unknown_to_oned: Known[tuple[str, ...]] = UNASKED  # lists of oned.conf without ceph_dr
    key: Known[str] = UNASKED  # fingerprint of the record key; empty: there is none
    guarded: Known[bool] = UNASKED  # is the datastore on the guard's list
    start_here: Known[TargetFacts] = UNASKED  # for the peer's VMs
    start_there: Known[TargetFacts] = UNASKED  # for ours


@dataclass(frozen=True)
class SiteFacts:
    """What concerns the whole front-end."""

    oned: Known[str] = UNASKED  # its version
    configuration: Known[str] = UNASKED  # the file, read without complaint
    key: Known[str] = UNASKED
    peer_front_end: Known[str] = UNASKED  # its endpoint when it answered; empty: none is configured
    hooks: Known[int] = UNASKED  # how many of OneDR's oned has
    # does OpenNebula wait for the guard when it starts; False: not by systemd
    guard_unit: Known[bool] = UNASKED
    datastores: Known[tuple[str, ...]] = UNASKED  # protected ones
    # the program of the fence command, and whether it can be run; an empty name: there is none
    fence_command: Known[tuple[str, bool]] = UNASKED


def known(value: Known[Value]) -> Value:
    """The fact itself, where the caller made sure that it is known."""
    if isinstance(value, Unknown):
        raise ValueError(value.reason)
    return value


def ok(text: str) -> CheckResult:
    """All is well, in one sentence."""
    return CheckResult(Level.OK, text)


def warn(text: str, todo: str = "") -> CheckResult:
    """It may suffer, or is not known."""
    return CheckResult(Level.WARNING, text, todo)


def problem(text: str, todo: str = "") -> CheckResult:
    """Protection or a failover suffers."""
    return CheckResult(Level.PROBLEM, text, todo)


def first_few(names: Sequence[str]) -> str:
    """The first three of them."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
