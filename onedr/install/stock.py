"""The effect of the stock `ceph` driver's actions on a mirrored disk.

Every action that OneDR does not implement is a link to the stock action (docs/design.md, "Native drivers").
The installer lists them, and which ones need caution. Source: src/tm_mad/ceph and
src/datastore_mad/remotes/ceph of 6.10.0 to 7.4.0.
"""

from __future__ import annotations

# Actions that only read, or only change the VM's folder, swap and context disks.
HARMLESS = {
    *("ceph_utils.sh", "ceph.conf", "save.ceph", "restore.ceph"),
    *("context", "mkswap", "mv", "premigrate", "postmigrate", "failmigrate", "monitor"),
    *("prebackup", "prebackup_live", "postbackup", "postbackup_live", "export", "stat"),
    *("snap_create", "snap_create_live", "resize", "delete.ssh", "resize.ssh"),
}
ON_HOST = "keeps the disk as a file on the host: the VM's writes are not mirrored while it runs"
NOT_MIRRORED = "creates an image that is mirrored only after the next `onedr reconcile`"
BEWARE = {
    "clone.ssh": ON_HOST,
    "ln.ssh": ON_HOST,
    "cp": NOT_MIRRORED,
    "mkfs": NOT_MIRRORED,
    "clone": NOT_MIRRORED,
    "cpds": NOT_MIRRORED,
    "cpds.ssh": NOT_MIRRORED,
    "mkimage": NOT_MIRRORED,
    "ln": "does not check whether the image is the primary copy",
    "mvds": "does not check whether the image is the primary copy",
    "mvds.ssh": "rewrites the whole mirrored image, so its full size is sent to the peer",
    "rm": "removes the image, and with it the peer's copy",
    "delete": "removes the disk, and with it the peer's copy",
    "snap_revert": "replaces the disk by a new, unmirrored image",
    "snap_flatten": "replaces the disk by a new, unmirrored image and removes the mirrored one",
    "snap_delete": "may rename or remove the image that held the snapshot",
    "restore": "replaces the disk by a new, unmirrored image",
}
UNKNOWN = "is unknown to this release of OneDR"


def caution(action: str) -> str:
    """Why a stock action needs caution; empty when it is not related to mirroring."""
    return "" if action in HARMLESS else BEWARE.get(action, UNKNOWN)
