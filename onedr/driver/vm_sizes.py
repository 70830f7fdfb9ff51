"""Sizes of each VM's disks, sent to monitord when a system datastore is monitored (MONITOR_VM_DISKS=1, as in
stock 7.4).

monitord accepts a datagram `MONITOR_VM SUCCESS -1 0 <base64 of zlib of VM=[ID=…, MONITOR="…"] …>`
(scripts_common.sh, 7.4).
"""
from __future__ import annotations

import base64
import re
import socket
import zlib
from collections import defaultdict

import rbd

from onedr.ceph import images, mirroring, space
from onedr.ceph.connection import Pool
from onedr.host import bridge, log
from onedr.host.paths import front_end_paths
from onedr.model import names
from onedr.model.errors import InputError, OneDRError
from onedr.model.types import MIB

_VMS_A_MESSAGE = 100  # well below the 64 KiB of a datagram
Sizes = dict[int, dict[int, int]]  # VM id -> disk id -> MiB


def report_sizes(pool: Pool) -> None:
    """Send the sizes to monitord, from a bridge host through the front-end.

    A failure is only a warning.
    """
    front_end = bridge.bridge_session()
    try:
        found = sizes(pool)
        if front_end is not None:
            front_end.call("vm_sizes", sizes=found)
        else:
            send(found)
    except (OneDRError, rbd.Error, OSError) as error:
        log.warn_oned(str(error))


def sizes(pool: Pool) -> Sizes:
    """Own bytes of the clones and volatile disks of this site's VMs.

    Copies of the peer's disks are skipped: their names contain ids of the other site.
    """
    found: Sizes = defaultdict(dict)
    here = pool.fsid()
    for name in pool.names():
        disk = names.parse_vm_disk(name)
        if disk is None:
            continue
        try:
            own = images.creator(pool, name).get("fsid", here) == here
            if own and mirroring.is_primary_image(pool, name):
                found[disk.vm_id][disk.disk_id] = space.own_bytes(pool, name) // MIB
        except rbd.ImageNotFound:  # removed since it was listed
            continue
    return dict(found)



def messages(found: Sizes) -> list[bytes]:
    """The datagrams, with a limited number of VMs each."""
    vms = sorted(found.items())
    return [
        _message(dict(vms[first : first + _VMS_A_MESSAGE])) for first in range(0, len(vms), _VMS_A_MESSAGE)
    ]


def _message(vms: Sizes) -> bytes:
    parts = []
    for vm_id, disks in vms.items():
        own = " ".join(f"DISK_SIZE = [ ID={disk}, SIZE={size} ]" for disk, size in sorted(disks.items()))
        parts.append(f'VM=[ID={vm_id}, MONITOR="{base64.b64encode(own.encode()).decode()}"]')
    return b"MONITOR_VM SUCCESS -1 0 " + base64.b64encode(zlib.compress(" ".join(parts).encode())) + b"\n"


def send(found: Sizes) -> None:
    """Send the sizes to monitord as configured in monitord.conf.

    Raises InputError when monitord accepts encrypted messages only. There is no answer.
    """
    try:
        text = (front_end_paths().etc / "monitord.conf").read_text()
    except FileNotFoundError:
        return  # as in the stock driver: then the hosts' probes report the sizes
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if _setting(text, "PUBKEY"):
        raise InputError(
            "monitord accepts encrypted messages only (PUBKEY in monitord.conf): sizes of VM disks are not "
            "reported."
        )
    address = _setting(text, "MONITOR_ADDRESS")
    place = "127.0.0.1" if "auto" in (address or "auto") else address
    with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, socket.SOCK_DGRAM) as line:
        for message in messages(found):
            line.sendto(message, (place, int(_setting(text, "PORT") or 4124)))


def _setting(text: str, key: str) -> str:
    match = re.search(rf'\b{key}\s*=\s*"?([^",\s\]]*)', text)
    return match[1] if match else ""
