"""Reading and writing each kind of thing that `onedr setup` changes. A value is text; None: it is not there."""
from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from onedr.errors import StorageError
from onedr.policy import caps
from onedr.policy.setup import Change, Kind
from onedr.ports import keyring, peering, seal, secretfile, units
from onedr.ports.cluster import Cluster
from onedr.ports.places import places

PEER_ID_KEY = "rbd/mirror/peer_client_id"  # where Ceph notes as whom peers come
_KEEPS_ITS_KEY = "its key"


@dataclass
class Hands:
    """On one cluster and this machine. `record_key`: what the other site's file brought, base64; None: a new one is made."""

    cluster: Cluster
    conf: str
    record_key: str | None = field(default=None, repr=False)

    def read(self, kind: Kind, key: str) -> str | None:
        """The value now."""
        readers: dict[Kind, Callable[[str], str | None]] = {
            Kind.POOL: lambda pool: peering.application(self.cluster, pool) or None,
            Kind.MIRRORING: lambda pool: peering.mode(self.cluster, pool),
            Kind.SITE: lambda _: self.cluster.stored(peering.SITE_NAME),
            Kind.USER: lambda entity: caps.packed(self.cluster.caps(entity)),
            Kind.KEYRING: self._keyring,
            Kind.SETTING: lambda words: self.cluster.settings().get((words.partition(" ")[0], words.partition(" ")[2])),
            Kind.SCHEDULE: lambda pool: peering.schedule(self.cluster, pool),
            Kind.KEY: lambda path: key_digest(Path(path)),
            Kind.PEER: lambda pool: ",".join(sorted(peer.uuid for peer in peering.peers(self.cluster, pool))) or None,
            Kind.DAEMON: lambda unit: "running" if units.active(unit) else None,
        }
        return readers[kind](key)

    def _keyring(self, key: str) -> str | None:
        entity, _, path = key.partition(" ")
        found = keyring.key_in(Path(path), entity)
        return _KEEPS_ITS_KEY if found is not None and found == self.cluster.key(entity) else None

    def write(self, change: Change) -> None:
        """Give it the value after the change. Peers and join files are made elsewhere (ops.setup_join)."""
        {
            Kind.POOL: lambda: peering.initialise(self.cluster, change.key),
            Kind.MIRRORING: lambda: peering.set_mode(self.cluster, change.key, change.after or "disabled"),
            Kind.SITE: lambda: peering.set_site(self.cluster, change.after),
            Kind.USER: lambda: self._write_user(change),
            Kind.KEYRING: lambda: self._write_keyring(change),
            Kind.SETTING: lambda: self._write_setting(change),
            Kind.SCHEDULE: lambda: peering.set_schedule(self.cluster, change.key, change.after),
            Kind.KEY: lambda: self._write_key(change),
            Kind.PEER: lambda: peering.remove_peers(self.cluster, change.key, (change.after or "").split(",")),
            Kind.DAEMON: lambda: units.start(change.key) if change.after else units.stop(change.key),
        }[change.kind]()

    def _write_setting(self, change: Change) -> None:
        who, _, name = change.key.partition(" ")
        self.cluster.set_setting(who, name, change.after)

    def _write_user(self, change: Change) -> None:
        if change.after is not None:
            self.cluster.set_caps(change.key, caps.unpacked(change.after))
            return
        self.cluster.remove_user(change.key)
        if change.key == caps.PEER and self.cluster.stored(PEER_ID_KEY) == caps.PEER.removeprefix("client."):
            self.cluster.store(PEER_ID_KEY, None)

    def _write_keyring(self, change: Change) -> None:
        entity, _, path = change.key.partition(" ")
        if change.after is None:
            keyring.drop(Path(path), entity)
            return
        key = self.cluster.key(entity)
        if key is None:
            raise StorageError(f"Ceph has no user {entity} whose key could be written to {path}.")
        for_daemon = entity.startswith(caps.DAEMON_PREFIX)
        owner = secretfile.user_id("ceph") if for_daemon else secretfile.owner_of(places().var)
        keyring.put(Path(path), entity, key, owner)

    def _write_key(self, change: Change) -> None:
        path = Path(change.key)
        if change.after is None:
            secretfile.remove(path)
            return
        text = self.record_key or base64.b64encode(os.urandom(seal.KEY_BYTES)).decode()
        secretfile.write(path, f"{text}\n", secretfile.owner_of(places().var))  # /etc/one is root's, the reader is oneadmin


    def own_record_key(self) -> str:
        """This site's record key in base64; empty: there is none."""
        key = seal.load_key(places().record_key)
        return "" if key is None else base64.b64encode(key).decode()


def key_digest(path: Path) -> str | None:
    """What tells two record keys apart without showing one; None: there is none. Raises RecordError for a bad one."""
    return seal.fingerprint(seal.load_key(path)) or None
