"""OneDR's own marks and answers on VMs and images. They are a display: nothing is decided by them. Pure.

`install.sh` makes oned restrict them, so that users neither set nor remove them by accident. What users
set themselves (DR_PROTECT, DR_PRIORITY, DR_DELAY, DR_START) stays free, and so does what was put aside for
them as DR_ORIGIN_<attribute>.
"""
from __future__ import annotations

from collections.abc import Mapping

# Names of attributes that stand for a context value with a `$` while oned reads it: it replaces such a value
# once, and not what it stands for.
STAND_IN = "ONEDR_VALUE_"
DISABLED = "ONEDR_DISABLED"  # in a record's template: the image is DISABLED
# on a VM that was made without its secrets: what it lacks is not taken off when it goes home
NO_SECRETS = "DR_NO_SECRETS"
# How protected the VM is. The keeper writes them (protection.vm_display), and no record carries them.
VM_SHOWN = ("DR_STATE", "DR_RECOVERY_POINT")
VM_MARKS = (
    "DR_ORIGIN", "DR_ORIGIN_SITE", "DR_ORIGIN_VM", "DR_FINISHED", "DR_START_PENDING", "DR_LOCKED_STATE",
    "DR_USER_LOCK", "DR_HELD", "DR_DRILL", "DR_DRILL_OF", "DR_RUN_TOKEN", "DR_SNAPSHOT_CARRIER",
    "DR_REHEARSAL", NO_SECRETS, *VM_SHOWN,
)
IMAGE_MARKS = (
    "DR_ORIGIN", "DR_ORIGIN_SOURCE", "DR_FINISHED", "DR_DRILL", "DR_REHEARSAL", "DR_RUN_TOKEN", "DR_MESSAGE",
)
# By the list of oned.conf.
RESTRICTED: Mapping[str, tuple[str, ...]] = {
    "VM_RESTRICTED_ATTR": VM_MARKS, "IMAGE_RESTRICTED_ATTR": IMAGE_MARKS,
}
