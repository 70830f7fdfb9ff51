"""The facts that `onedr check` evaluates.

Each fact is known, or `Unknown` with the reason. Nothing is assumed to be good.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar, Union

from onedr.failover.placement import Placement
from onedr.model.records import ImageFacts, ProbeResult, SiteInfo
from onedr.model.recovery_plan import Chosen
from onedr.model.rehearsed import Rehearsed
from onedr.model.site_map import SiteMap
from onedr.model.types import Mode, PeerState, Settings
from onedr.opennebula.acls import Rule
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.runs.state import StateVerdict
from onedr.sunstone.whole_rules import Wholeness


@dataclass(frozen=True)
class Unknown:
    """Why a fact could not be collected."""

    reason: str


Value = TypeVar("Value")
Known = Union[Value, Unknown]
NOT_COLLECTED = Unknown("it was not collected")


class Level(str, Enum):
    """The severity of a finding.

    A problem: protection or a failover is impaired. A warning: it may be, or that is unknown.
    """

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class CheckResult:
    """One result of a check: a sentence, and what to type; empty when nothing needs to be done."""

    level: Level
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Finding:
    """A result with the code of its check; `subject` is the datastore, empty for the whole site."""

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
    """rbd-mirror of a cluster: number of daemons, and how many of the pool's mirrored images they report.

    Ceph forgets a dead daemon after about a minute, its reports after 30 s.
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
class PoolSpace:
    """Used and free bytes of a pool (free: max_avail), and health checks such as OSD_NEARFULL."""

    used: int
    free: int
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterFacts:
    """One site's Ceph. `settings`: options of rbd-mirror by name."""

    fsid: Known[str] = NOT_COLLECTED
    peering: Known[Peering] = NOT_COLLECTED
    mirrors: Known[Mirrors] = NOT_COLLECTED
    releases: Known[tuple[str, ...]] = NOT_COLLECTED
    replicas: Known[Replicas] = NOT_COLLECTED
    space: Known[PoolSpace] = NOT_COLLECTED
    pools: Known[frozenset[str]] = NOT_COLLECTED  # names of all pools
    namespaces: Known[tuple[str, ...]] = NOT_COLLECTED  # RBD namespaces of the pool
    line_mode: Known[str] = NOT_COLLECTED  # cluster_info.line_mode
    ciphers: Known[tuple[str, ...]] = NOT_COLLECTED  # types of cephx keys that it allows
    settings: Known[Mapping[str, str]] = NOT_COLLECTED
    site_info: Known[SiteInfo | None] = NOT_COLLECTED


@dataclass(frozen=True)
class TargetFacts:
    """A site that would start VMs.

    `local`, `recovered`: its own VMs on the pool, as in FailoverFacts; `models`, `machines`: of its hosts,
    None when unknown; `registered`: RBD names of its images; `image_names`: (owner, name) of all images.
    """

    placement: Placement
    users: frozenset[str]
    groups: frozenset[str]
    fsid: str = ""
    local: Mapping[str, PeerVm] = field(default_factory=dict)
    recovered: Mapping[str, Recovered] = field(default_factory=dict)
    models: frozenset[str] | None = None
    machines: frozenset[str] | None = None
    registered: frozenset[str] = frozenset()
    image_names: frozenset[tuple[str, str]] = frozenset()
    # by section of the mapping: ids by name
    names: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()  # access rules about users and groups


@dataclass(frozen=True)
class MapFacts:
    """The mapping in force (None: none), its version, that of the peer's pool (None: not read), and what is
    passed over.
    """

    site_map: SiteMap | None = None
    version: int = 0
    peer_version: int | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rehearsals:
    """What came of rehearsing the peer's VMs here, by origin. `now`: epoch seconds; `left`: objects that a
    rehearsal made and did not remove.
    """

    now: float
    results: Mapping[str, Rehearsed] = field(default_factory=dict)
    left: int = 0


@dataclass(frozen=True)
class NewestSnapshots:
    """Snapshot mode: `age_s` of the newest mirror snapshot of each image that is primary here, seconds (None:
    it has none).
    """

    age_s: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckFacts:
    """All facts for the checks of a datastore."""

    datastore: str
    settings: Settings
    data_pool: str = ""  # EC_POOL_NAME
    here: ClusterFacts = field(default_factory=ClusterFacts)
    there: ClusterFacts = field(default_factory=ClusterFacts)
    peer: Known[tuple[PeerState, str]] = NOT_COLLECTED  # do the peer's monitors answer, with a sentence
    readable: Known[bool] = NOT_COLLECTED  # can the peer's Ceph be read from here
    verdict: Known[StateVerdict] = NOT_COLLECTED  # the datastore's state
    unprotected: Known[Mapping[str, str]] = NOT_COLLECTED  # items that are not mirrored, and why
    images: Known[tuple[ImageFacts, ...]] = NOT_COLLECTED
    clashes: Known[tuple[str, ...]] = NOT_COLLECTED  # names that both sites use for images of their own
    groups: Known[Mapping[str, str]] = NOT_COLLECTED  # RBD group of each image here that is in one
    # images here with a lock of `rbd lock add`: its cookie and client
    locks: Known[Mapping[str, tuple[str, str]]] = NOT_COLLECTED
    schedules: Known[frozenset[str]] = NOT_COLLECTED  # images that have a mirror snapshot schedule here
    newest_snapshots: Known[NewestSnapshots] = NOT_COLLECTED
    snapshots_kept: Known[int] = NOT_COLLECTED  # rbd_mirroring_max_mirroring_snapshots
    # the peer's clock is ahead by at least and at most
    clock_s: Known[tuple[float, float]] = NOT_COLLECTED
    probe_results: Known[Mapping[Mode, ProbeResult]] = NOT_COLLECTED
    # names and ids of the virtual networks here; False: a name that users' networks have only
    networks: Known[Mapping[str, bool]] = NOT_COLLECTED
    disk_drivers: Known[tuple[str, ...]] = NOT_COLLECTED  # VM_MAD of the hosts here
    unknown_to_oned: Known[tuple[str, ...]] = NOT_COLLECTED  # lists of oned.conf without ceph_dr
    key: Known[str] = NOT_COLLECTED  # fingerprint of the record key; empty: there is none
    guarded: Known[bool] = NOT_COLLECTED  # is the datastore on the guard's list
    rehearsals: Known[Rehearsals] = NOT_COLLECTED
    start_here: Known[TargetFacts] = NOT_COLLECTED  # for the peer's VMs
    start_there: Known[TargetFacts] = NOT_COLLECTED  # for ours
    mapping: Known[MapFacts] = NOT_COLLECTED
    recovery: Known[Chosen] = NOT_COLLECTED  # the recovery plan that a run would go by


@dataclass(frozen=True)
class SiteFacts:
    """All facts for the checks of the front-end."""

    oned: Known[str] = NOT_COLLECTED  # its version
    configuration: Known[str] = NOT_COLLECTED  # path of the file, when it is valid
    key: Known[str] = NOT_COLLECTED
    peer_front_end: Known[str] = NOT_COLLECTED  # its endpoint when it answered; empty: not configured
    hooks: Known[int] = NOT_COLLECTED  # number of OneDR's hooks in oned
    # OneDR's own marks that the running oned lets users set
    unrestricted: Known[tuple[str, ...]] = NOT_COLLECTED
    # does systemd start OpenNebula only after the guard
    guard_unit: Known[bool] = NOT_COLLECTED
    datastores: Known[tuple[str, ...]] = NOT_COLLECTED  # protected ones
    # the program of the fence command, and whether it can be run; an empty name: there is none
    fence_command: Known[tuple[str, bool]] = NOT_COLLECTED
    # the page in Sunstone; None: no Sunstone is installed here
    sunstone: Known[Wholeness | None] = NOT_COLLECTED


def known(value: Known[Value]) -> Value:
    """The fact itself. The caller must have checked that it is known."""
    if isinstance(value, Unknown):
        raise ValueError(value.reason)
    return value


def ok(text: str) -> CheckResult:
    """A good result."""
    return CheckResult(Level.OK, text)


def warn(text: str, todo: str = "") -> CheckResult:
    """A warning: something may be impaired, or is unknown."""
    return CheckResult(Level.WARNING, text, todo)


def problem(text: str, todo: str = "") -> CheckResult:
    """A problem: protection or a failover is impaired."""
    return CheckResult(Level.PROBLEM, text, todo)

