"""What `onedr setup` knows, what it wants, and the changes between both. Frozen data."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onedr.pairing import ceph_caps


class ChangeKind(str, Enum):
    """What is changed. Setup works in this order, teardown in the reverse order."""

    POOL = "pool"
    MIRRORING = "mirroring"
    SITE = "site name"
    USER = "user"
    KEYRING = "keyring"
    SETTING = "setting"
    SCHEDULE = "schedule"
    KEY = "record key"
    PASSWORD = "password"
    FRONT_END = "peer's front-end"
    PEER = "peer"
    OFFER = "join file"
    DAEMON = "rbd-mirror"


@dataclass(frozen=True)
class Change:
    """The change of one object: `key` names it within its kind;
    `scope` is its pool, empty for the whole site.
    """

    kind: ChangeKind
    key: str
    before: str | None
    after: str | None
    text: str
    cost: str = ""
    scope: str = ""

    @property
    def now(self) -> str:
        return display_value(self.kind, self.before)

    @property
    def then(self) -> str:
        return display_value(self.kind, self.after)


@dataclass(frozen=True)
class Recorded:
    """A change of an earlier run; `host`: the machine of a file or service, empty for objects of Ceph."""

    kind: ChangeKind
    key: str
    before: str | None
    after: str | None
    scope: str = ""
    host: str = ""


@dataclass(frozen=True)
class PeerSite:
    """A mirror peer of the pool; `hosts`: known addresses of its monitors; `knows_us`:
    None when it was not contacted.
    """

    uuid: str
    site: str
    both_ways: bool
    hosts: frozenset[str] = frozenset()
    knows_us: bool | None = None

    @property
    def needs_file(self) -> bool:
        """It was set up again or torn down, so that a new join file is needed."""
        return self.knows_us is False


@dataclass(frozen=True)
class JoinOffer:
    """The content of the other site's join file and its message."""

    site: str
    pool: str
    fsid: str
    hosts: frozenset[str]
    record_key: str | None  # digest of the record key in it
    site_index: int | None
    used: bool = False  # already used: the peer exists
    reads_new_keys: bool = True  # does Ceph there know cephx keys of type aes256k?


@dataclass(frozen=True)
class Setting:
    """A setting of rbd-mirror: the desired value and its cost."""

    name: str
    wanted: str
    cost: str


@dataclass(frozen=True)
class DesiredState:
    """What the operator requested. `offer`: path of the join file to write, empty: none."""

    pool: str
    site: str = ""
    user: str = ""
    data_pool: str = ""
    keyfile: str = ""  # CEPH_KEY: then no keyring is needed
    schedule: str = ""  # between mirror snapshots; empty: journal mode
    poll_age_s: float = 0.5
    retry_s: int = 5
    delete_delay_s: int = 86400
    offer: str = ""
    site_index: int | None = None
    front_end: str = ""  # what onedr.conf is to say of the peer's front-end; empty: nothing is asked
    password_file: str = ""  # to be made for it; empty: it is there


@dataclass(frozen=True)
class MirrorDaemons:
    """rbd-mirror at this site: users whose daemons report,
    and its systemd unit (`unit` empty: it cannot be managed here).
    """

    running: tuple[str, ...] = ()
    unit: str = ""
    active: bool = False
    hint: str = ""  # how to start one manually


@dataclass(frozen=True)
class PairingFacts:
    """The current state. Values by name are None when there is none."""

    fsid: str
    pool_there: bool = True
    application: str = ""  # the pool's application: rbd, cephfs …
    mirroring: str = "disabled"
    site: str | None = None
    peers: tuple[PeerSite, ...] = ()
    users: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    # by user: file, and whether its key is correct
    keyrings: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    settings: Mapping[tuple[str, str], str] = field(default_factory=dict)
    # the effective value of each setting for rbd-mirror
    defaults: Mapping[str, str] = field(default_factory=dict)
    # settings that the configuration file here sets for rbd-mirror
    files: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None
    record_key: str | None = None
    record_key_file: str = ""
    daemons: MirrorDaemons = field(default_factory=MirrorDaemons)
    offered: str | None = None  # path of this pool's unused join file
    pools: tuple[str, ...] = ()  # pools that OneDR set up here before, including data pools
    own_users: frozenset[str] = frozenset()  # users that OneDR created here
    join_offer: JoinOffer | None = None
    front_end: str | None = None  # what onedr.conf says of the peer's front-end
    configuration_file: str = ""
    key_type: str = "aes"  # of the cephx keys that this cluster makes
    peer_key_type: str = "aes"  # of the key that the other site has, or would get


@dataclass(frozen=True)
class PairingPlan:
    """Refusals only, or ordered changes with notes."""

    refusals: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def display_value(kind: ChangeKind, value: str | None) -> str:
    """A value in readable form."""
    if kind is ChangeKind.USER:
        return ceph_caps.shown(value)
    if value is None:
        return "Ceph's default" if kind is ChangeKind.SETTING else "none"
    return value
