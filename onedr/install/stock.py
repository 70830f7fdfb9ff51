"""What the actions of OpenNebula's stock `ceph` driver do to a mirrored disk.

Every action that OneDR does not implement is a link to the stock one (docs/design.md, "Native drivers"). The
administrator is told which, and of which to beware. Source: src/tm_mad/ceph and
src/datastore_mad/remotes/ceph of 6.10.0 to 7.4.0.
"""

from __future__ import annotations

# Actions that only touch the VM's folder, swap and context disks, or read.
HARMLESS = {
    *("ceph_utils.sh", "ceph.conf", "save.ceph", "restore.ceph"),
    *("context", "mkswap", "mv", "premigrate", "postmigrate", "failmigrate", "monitor"),
    *("prebackup", "prebackup_live", "postbackup", "postbackup_live", "export", "stat"),
    *("snap_create", "snap_create_live", "resize", "delete.ssh", "resize.ssh"),
}
ON_HOST = "keeps the disk as a file of the host: what the VM writes is not mirrored while it runs"
NOT_MIRRORED = "makes an image that is mirrored only after the next `onedr reconcile`"
BEWARE = {
    "clone.ssh": ON_HOST,
    "ln.ssh": ON_HOST,
    "cp": NOT_MIRRORED,
    "mkfs": NOT_MIRRORED,
    "clone": NOT_MIRRORED,
    "cpds": NOT_MIRRORED,
    "cpds.ssh": NOT_MIRRORED,
    "mkimage": NOT_MIRRORED,
    "ln": "does not look whether the image is the primary copy",
    "mvds": "does not look whether the image is the primary copy",
    "mvds.ssh": "writes the whole mirrored image anew, so its full size travels to the peer",
    "rm": "removes the image, and with it the peer's copy",
    "delete": "removes the disk, and with it the peer's copy",
    "snap_revert": "puts a new, unmirrored image under the disk's name",
    "snap_flatten": "puts a new, unmirrored image under the disk's name and removes the mirrored one",
    "snap_delete": "may rename or remove the image that held the snapshot",
    "restore": "puts a new, unmirrored image under the disk's name",
}
UNKNOWN = "is not known to this release of OneDR"


def caution(action: str) -> str:
    """Why to beware of a stock action; empty when it takes no part in mirroring."""
    return "" if action in HARMLESS else BEWARE.get(action, UNKNOWN)
