"""Types that all packages share. Frozen data, no I/O."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MIB = 1024 * 1024
DRIVER, STOCK_DRIVER = "ceph_dr", "ceph"  # OneDR's driver, and the one of OpenNebula that it extends
HOOK_PREFIX = "onedr-"  # of the names of OneDR's hooks in oned
OWN_GROUPS = "onedr"  # how the names of OneDR's own RBD groups begin
# image ids of site n begin at n times this (docs/design.md, "Names and site indexes")
INDEX_STRIDE = 1_000_000_000


class Mode(str, Enum):
    """How RBD mirrors an image (docs/design.md, "Modes of mirroring")."""

    JOURNAL = "JOURNAL"
    SNAPSHOT = "SNAPSHOT"


class Role(str, Enum):
    """The role of a datastore at this site (docs/design.md, "Words")."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    UNPROTECTED = "unprotected"


class State(str, Enum):
    """Named states of a datastore, shown in DR_STATE (docs/states.md)."""

    UNPROTECTED = "UNPROTECTED"
    PROTECTING = "PROTECTING"
    PROTECTED = "PROTECTED"
    DEGRADED = "DEGRADED"
    STANDBY = "STANDBY"
    FAILING_OVER = "FAILING_OVER"
    FAILING_BACK = "FAILING_BACK"
    DRILLING = "DRILLING"
    RETURNED = "RETURNED"
    REPROTECTING = "REPROTECTING"
    ACTIVE_UNPROTECTED = "ACTIVE_UNPROTECTED"
    SPLIT_BRAIN = "SPLIT_BRAIN"
    INTERRUPTED = "INTERRUPTED"


class PeerState(str, Enum):
    """What a ping of the peer's Ceph monitors showed."""

    ANSWERS = "answers"
    GONE = "gone"  # every known monitor address refused the connection
    # no address is known, or no answer in time: a dead machine and a broken link look the same
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CephAccess:
    """How to reach a pool: POOL_NAME, CEPH_USER, CEPH_CONF, CEPH_KEY (a key file) and EC_POOL_NAME."""

    pool: str
    user: str = ""
    conf: str = ""
    keyfile: str = ""
    data_pool: str = ""


@dataclass(frozen=True)
class Settings:
    """The DR_ attributes of a datastore, validated (see model.settings)."""

    protect: bool = False
    mode: Mode = Mode.JOURNAL
    rpo_s: int = 900
    schedule: str = ""
    flatten_clones: bool = False
    site: str = ""
    site_index: int = 0
    network_map: tuple[tuple[str, str], ...] = ()
    security_group_map: tuple[tuple[str, str], ...] = ()
    keep_s: int = 7 * 86400  # how long divergent copies are preserved
    delay_s: int = 0  # between a priority group that runs and the start of the next
    delay_max_s: int = 60  # the most that a VM's own DR_DELAY counts for
    peer_datastore: str = ""  # name of this datastore at the peer; empty: the same name
    peer: CephAccess | None = None
    drill_network: str = ""  # virtual network here for a drill's VMs; empty: none, so drills are refused
    rto_s: int = 0  # recovery time objective of drills; 0: none
    rehearse: bool = True  # every night, at the standby
    copy_window: tuple[int, int] | None = None  # minutes of the local day; None: copies begin at any time
    copies_outside: int = 1  # first copies and resyncs at the same time outside of it
    report: bool = False  # the newest report is kept on the front-end, made every night
    secret_attrs: frozenset[str] = frozenset()  # names whose values are secret too, in capitals
    point_every_s: int = 0  # between points in time of a VM; 0: none are taken
    # which points stay: one in each of the last `count` spans of so many seconds
    point_rules: tuple[tuple[int, int], ...] = ((12, 300), (24, 3600), (7, 86400))
    point_stall_s: int = 2  # a point that held up writers for longer is taken less often
    recover_consistent: bool = False  # a failover takes each VM to its newest point, where it has one
    recovery_plan: str = ""  # name of the plan by which runs start VMs; empty: by DR_PRIORITY
    point_of_all: bool = False  # one point for all disks of the datastore, instead of one for each VM


@dataclass(frozen=True)
class ImageName:
    """An RBD image of OpenNebula: `pool` and `name` as in SOURCE `pool/name`."""

    pool: str
    name: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.name}"
