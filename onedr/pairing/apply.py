"""Reading and writing each kind of object that `onedr setup` changes.

A value is text; None: the object does not exist.
"""
from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from onedr.ceph import keyring, pool_mirroring
from onedr.ceph.admin import Cluster
from onedr.host import secret_file, systemd
from onedr.host.paths import front_end_paths
from onedr.model.errors import StorageError
from onedr.pairing import ceph_caps
from onedr.pairing import front_end as pairing_front_end
from onedr.pairing.facts import Change, ChangeKind
from onedr.pairing.front_end import PeerFrontEnd
from onedr.replication import encryption

PEER_ID_KEY = "rbd/mirror/peer_client_id"  # where Ceph stores the user of peers
_KEEPS_ITS_KEY = "its key"


@dataclass
class ChangeApplier:
    """Applies changes to one cluster and this machine.

    `record_key`: the one in the other site's file, base64; None: a new one is created. `front_end`: the way
    to the peer's front-end; None: it is not set up.
    """

    cluster: Cluster
    conf: str
    record_key: str | None = field(default=None, repr=False)
    front_end: PeerFrontEnd | None = None

    def read(self, kind: ChangeKind, key: str) -> str | None:
        """The current value."""
        readers: dict[ChangeKind, Callable[[str], str | None]] = {
            ChangeKind.POOL: lambda pool: pool_mirroring.application(self.cluster, pool) or None,
            ChangeKind.MIRRORING: lambda pool: pool_mirroring.pool_mode(self.cluster, pool),
            ChangeKind.SITE: lambda _: self.cluster.stored(pool_mirroring.SITE_NAME),
            ChangeKind.USER: lambda entity: ceph_caps.packed(self.cluster.caps(entity)),
            ChangeKind.KEYRING: self._keyring,
            ChangeKind.SETTING: lambda words: self.cluster.settings().get(
                (words.partition(" ")[0], words.partition(" ")[2])
            ),
            ChangeKind.SCHEDULE: lambda pool: pool_mirroring.schedule(self.cluster, pool),
            ChangeKind.KEY: lambda path: key_digest(Path(path)),
            ChangeKind.PASSWORD: lambda path: "as given" if Path(path).exists() else None,
            ChangeKind.FRONT_END: lambda _: pairing_front_end.configured(),
            ChangeKind.PEER: lambda pool: (
                ",".join(sorted(peer.uuid for peer in pool_mirroring.pool_peers(self.cluster, pool))) or None
            ),
            ChangeKind.DAEMON: lambda unit: "running" if systemd.is_active(unit) else None,
        }
        return readers[kind](key)

    def _keyring(self, key: str) -> str | None:
        entity, _, path = key.partition(" ")
        found = keyring.key_in(Path(path), entity)
        return _KEEPS_ITS_KEY if found is not None and found == self.cluster.key(entity) else None

    def write(self, change: Change) -> None:
        """Give it the value after the change. Peers and join files are made elsewhere (pairing.join)."""
        {
            ChangeKind.POOL: lambda: pool_mirroring.initialise(self.cluster, change.key),
            ChangeKind.MIRRORING: lambda: pool_mirroring.set_mode(
                self.cluster, change.key, change.after or "disabled"
            ),
            ChangeKind.SITE: lambda: pool_mirroring.set_site(self.cluster, change.after),
            ChangeKind.USER: lambda: self._write_user(change),
            ChangeKind.KEYRING: lambda: self._write_keyring(change),
            ChangeKind.SETTING: lambda: self._write_setting(change),
            ChangeKind.SCHEDULE: lambda: pool_mirroring.set_schedule(self.cluster, change.key, change.after),
            ChangeKind.KEY: lambda: self._write_key(change),
            ChangeKind.PASSWORD: lambda: self._write_password(change),
            ChangeKind.FRONT_END: lambda: pairing_front_end.write(change.after),
            ChangeKind.PEER: lambda: pool_mirroring.remove_peers(
                self.cluster, change.key, (change.after or "").split(",")
            ),
            ChangeKind.DAEMON: lambda: (
                systemd.start_unit(change.key) if change.after else systemd.stop_unit(change.key)
            ),
        }[change.kind]()

    def _write_setting(self, change: Change) -> None:
        who, _, name = change.key.partition(" ")
        self.cluster.set_setting(who, name, change.after)

    def _write_user(self, change: Change) -> None:
        if change.after is not None:
            self.cluster.set_caps(change.key, ceph_caps.unpacked(change.after))
            return
        self.cluster.remove_user(change.key)
        if change.key == ceph_caps.PEER and self.cluster.stored(PEER_ID_KEY) == ceph_caps.PEER.removeprefix(
            "client."
        ):
            self.cluster.store(PEER_ID_KEY, None)

    def _write_keyring(self, change: Change) -> None:
        entity, _, path = change.key.partition(" ")
        if change.after is None:
            keyring.drop_key(Path(path), entity)
            return
        key = self.cluster.key(entity)
        if key is None:
            raise StorageError(f"Ceph has no user {entity} whose key could be written to {path}.")
        for_daemon = entity.startswith(ceph_caps.DAEMON_PREFIX)
        owner = secret_file.user_id("ceph") if for_daemon else secret_file.owner_of(front_end_paths().var)
        keyring.put_key(Path(path), entity, key, owner)

    def _write_key(self, change: Change) -> None:
        path = Path(change.key)
        if change.after is None:
            secret_file.remove_secret(path)
            return
        text = self.record_key or base64.b64encode(os.urandom(encryption.KEY_BYTES)).decode()
        # /etc/one belongs to root, but oneadmin must be able to read the key
        secret_file.write_secret(path, f"{text}\n", secret_file.owner_of(front_end_paths().var))

    def _write_password(self, change: Change) -> None:
        if change.after is None:
            secret_file.remove_secret(Path(change.key))
        elif self.front_end is not None:
            pairing_front_end.write_password(self.front_end)

    def own_record_key(self) -> str:
        """This site's record key in base64; empty when there is none."""
        key = encryption.key_in(front_end_paths().record_key)
        return "" if key is None else base64.b64encode(key).decode()


def key_digest(path: Path) -> str | None:
    """A fingerprint of a record key; None when there is none.

    Raises RecordError for an invalid one.
    """
    return encryption.fingerprint(encryption.load_key(path)) or None
