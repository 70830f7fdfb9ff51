"""Information about a cluster: releases, replicas, free space, rbd-mirror and its options.

Read-only; caps `profile rbd` are enough.
"""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import rados
import rbd

from onedr.ceph.connection import Pool
from onedr.ceph.mirroring import MirrorStatus
from onedr.model.errors import StorageError

_RELEASE = re.compile(r"ceph version ([0-9]+\.[0-9]+\.[0-9]+)")
_MIRROR = "client.rbd-mirror"
_SECTION = re.compile(rf"^\s*\[({re.escape(_MIRROR)}[^\]]*)\]", re.MULTILINE)
_DIRECTIONS = {
    rbd.RBD_MIRROR_PEER_DIRECTION_RX: "rx",
    rbd.RBD_MIRROR_PEER_DIRECTION_TX: "tx",
    rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX: "rx-tx",
}
_ALARMS = ("OSD_NEARFULL", "OSD_BACKFILLFULL", "OSD_FULL", "POOL_FULL", "POOL_NEAR_FULL")
OPTIONS = (
    "rbd_mirror_journal_poll_age",
    "rbd_mirror_image_state_check_interval",
    "rbd_mirroring_delete_delay",
)
KEPT = "rbd_mirroring_max_mirroring_snapshots"
_PEER = "client.rbd-mirror-peer"
_LINE_MODES = "crc secure"  # Ceph's default of ms_client_mode and ms_service_mode


def versions(pool: Pool) -> dict[str, dict[str, int]]:
    """How many daemons of each kind run each version. Raises StorageError."""
    return dict(pool.mon(prefix="versions"))


def releases(pool: Pool) -> tuple[str, ...]:
    """Ceph releases of all its daemons, each once, such as `16.2.15`. Raises StorageError."""
    found = {_release(text) for text in versions(pool)["overall"]}
    if not found:
        raise StorageError("Ceph does not report the releases of its daemons.")
    return tuple(sorted(found))


def _release(text: str) -> str:
    match = _RELEASE.match(text)
    return match[1] if match else text


def mirror_daemon_count(pool: Pool) -> int:
    """How many rbd-mirror daemons the cluster knows.

    A dead one is counted for about a minute. Raises StorageError.
    """
    return sum(versions(pool).get("rbd-mirror", {}).values())


@dataclass(frozen=True)
class Reports:
    """What rbd-mirror reported about a pool's images.

    `up`, `down`: names of images with and without a current report. `newest`: time of the last report by the
    reporting site's clock, epoch seconds; None without a report.
    """

    up: frozenset[str]
    down: frozenset[str]
    newest: float | None


def reports(pool: Pool) -> tuple[Reports, Reports]:
    """The reports of this cluster's rbd-mirror and of the peer's, which are up to 30 s old.

    Raises rbd.Error.
    """
    own: dict[str, MirrorStatus] = {}
    remote: dict[str, MirrorStatus] = {}
    for status in pool.rbd.mirror_image_status_list(pool.io):
        name = str(status["name"])
        own[name] = status
        remote[name] = max(
            status.get("remote_statuses", []), key=lambda found: bool(found.get("up")), default=MirrorStatus()
        )
    return _reports(own), _reports(remote)


def _reports(found: Mapping[str, MirrorStatus]) -> Reports:
    up = frozenset(name for name, status in found.items() if status.get("up"))
    moments = [moment for name in up if (moment := _moment(found[name].get("last_update"))) is not None]
    return Reports(up, frozenset(found) - up, max(moments, default=None))


def _moment(found: object) -> float | None:
    return found.replace(tzinfo=timezone.utc).timestamp() if isinstance(found, datetime) else None


def peering(pool: Pool) -> tuple[bool, tuple[str, ...]]:
    """Whether the pool mirrors per image, and the directions of its peers: `rx`, `tx`, `rx-tx`.

    Raises rbd.Error.
    """
    mode = pool.rbd.mirror_mode_get(pool.io)
    if mode == rbd.RBD_MIRROR_MODE_DISABLED:
        return False, ()
    directions = tuple(
        _DIRECTIONS.get(peer.get("direction"), "rx-tx") for peer in pool.rbd.mirror_peer_list(pool.io)
    )
    return mode == rbd.RBD_MIRROR_MODE_IMAGE, directions


def replicas(pool: Pool) -> tuple[int, int]:
    """The pool's size and min_size. Raises StorageError."""
    every = pool.mon(prefix="osd pool ls", detail="detail")
    found = next((each for each in every if each["pool_name"] == pool.access.pool), None)
    if found is None:
        raise StorageError(f"Ceph does not list pool {pool.access.pool}.")
    return int(found["size"]), int(found["min_size"])


def pool_space(pool: Pool) -> tuple[int, int, tuple[str, ...]]:
    """Bytes stored in the data pool, bytes free in it (within its quota), and Ceph's health checks about
    space.

    Raises StorageError.
    """
    name = pool.access.data_pool or pool.access.pool
    stats = next(
        (each["stats"] for each in pool.mon(prefix="df", detail="detail")["pools"] if each["name"] == name),
        None,
    )
    if stats is None:
        raise StorageError(f"Ceph's df does not list pool {name}.")
    used, free = int(stats.get("stored") or 0), int(stats["max_avail"])
    if stats.get("quota_bytes"):
        free = min(free, max(0, int(stats["quota_bytes"]) - used))
    return used, free, tuple(sorted(set(pool.mon(prefix="health")["checks"]) & set(_ALARMS)))


def line_mode(pool: Pool) -> str:
    """How data goes from this cluster's OSDs to the other site's rbd-mirror: `secure` (encrypted), `crc`,
    empty when both sides' settings exclude each other, `msgr1` when a monitor speaks nothing newer.

    The client takes the first of its modes that the server allows (Ceph: AuthRegistry::pick_mode). Settings
    in configuration files are not seen. Raises StorageError.
    """
    for monitor in pool.mon(prefix="mon dump")["mons"]:
        if not any(each["type"] == "v2" for each in monitor["public_addrs"]["addrvec"]):
            return "msgr1"
    stored = _config_dump(pool)
    asked = _stored(stored, _PEER, "ms_client_mode", _LINE_MODES).split()
    allowed = _stored(stored, "osd", "ms_service_mode", _LINE_MODES).split()
    return next((mode for mode in asked if mode in allowed), "")


def allowed_ciphers(pool: Pool) -> tuple[str, ...]:
    """The types of cephx keys that this cluster allows: `aes`, `aes256k`. Releases before 19.2.6 and 20.2.4
    know `aes` alone (docs/ceph-facts.md C47). Raises StorageError.
    """
    listed = pool.mon(prefix="mon dump").get("auth_allowed_ciphers")
    return ("aes",) if listed is None else tuple(str(each["name"]) for each in listed)


def own_option(pool: Pool, name: str) -> str:
    """The value of an option for our own connection. Raises rados.Error."""
    return str(pool.cluster.conf_get(name))


def mirror_options(pool: Pool) -> dict[str, str]:
    """Options of this site's rbd-mirror: from this machine's Ceph configuration, else from the cluster's
    database, else Ceph's default.

    The ceph.conf of other machines is not read. Raises StorageError, rados.Error.
    """
    stored = _config_dump(pool)
    conf = pool.access.conf or os.environ.get("CEPH_CONF") or "/etc/ceph/ceph.conf"
    names = _sections(conf) | {section for section, _ in stored if section.startswith(_MIRROR)} or {_MIRROR}
    defaults = _from_file(None, _MIRROR)
    own = {name: _from_file(conf, name) for name in sorted(names)}
    found: dict[str, str] = {}
    for option, default in defaults.items():
        values = {
            given[option] if given[option] != default else _stored(stored, name, option, default)
            for name, given in own.items()
        }
        found[option] = max(values, key=float)  # the slowest of several daemons counts
    return found


def _config_dump(pool: Pool) -> dict[tuple[str, str], str]:
    """The monitors' settings: value by (section, name)."""
    return {
        (str(entry["section"]), str(entry["name"])): str(entry["value"])
        for entry in pool.mon(prefix="config dump")
    }


def _sections(conf: str) -> set[str]:
    """Sections of rbd-mirror daemons in a configuration file of this machine."""
    try:
        return set(_SECTION.findall(Path(conf).read_text(errors="replace")))
    except OSError:
        return set()


def _from_file(conf: str | None, name: str) -> dict[str, str]:
    """OPTIONS from a configuration file, if it exists, and Ceph's defaults, without a connection."""
    file = conf if conf and Path(conf).exists() else None
    handle = rados.Rados(name=name, conffile=file, conf={"log_to_stderr": "false", "err_to_stderr": "false"})
    try:
        return {option: str(handle.conf_get(option)) for option in OPTIONS}
    finally:
        handle.shutdown()  # nothing else frees it: each would keep some 100 KiB


def _stored(stored: dict[tuple[str, str], str], name: str, option_name: str, default: str) -> str:
    """The value in the cluster's configuration database; the closest section wins."""
    parts = name.split(".")
    sections = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next(
        (
            stored[section, option_name]
            for section in (*sections, "global")
            if (section, option_name) in stored
        ),
        default,
    )
