"""Words shared by every layer: frozen data, no behaviour that touches the outside world."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MIB = 1024 * 1024
# image ids of site n begin at n times this (docs/design.md, "Names and site indexes")
INDEX_STRIDE = 1_000_000_000


class Mode(str, Enum):
    """How RBD mirrors an image (docs/design.md, "Modes of mirroring")."""

    JOURNAL = "JOURNAL"
    SNAPSHOT = "SNAPSHOT"


class Role(str, Enum):
    """The part a datastore plays at this site (docs/design.md, "Words")."""

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
    """What a probe of the peer's Ceph monitors showed."""

    ANSWERS = "answers"
    GONE = "gone"  # every known monitor address refused the connection
    UNKNOWN = "unknown"  # no address known, or no answer in time: dead and cut off look the same


@dataclass(frozen=True)
class CephAccess:
    """How to reach a pool: attributes POOL_NAME, CEPH_USER, CEPH_CONF, CEPH_KEY (a key file), EC_POOL_NAME.
    """

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
    keep_s: int = 7 * 86400  # how long divergent copies are kept
    delay_s: int = 0  # after a priority group runs, before the next starts
    delay_max_s: int = 900  # the most that a VM's own DR_DELAY counts for
    peer_datastore: str = ""  # name of this datastore at the peer; empty: the same
    peer: CephAccess | None = None
    drill_network: str = ""  # virtual network here in which a drill's VMs live; empty: none, no drill
    rto_s: int = 0  # objective for a drill's recovery time; 0: none


@dataclass(frozen=True)
class ImageName:
    """An RBD image of OpenNebula: `pool` and `name` as in SOURCE `pool/name`."""

    pool: str
    name: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.name}"
