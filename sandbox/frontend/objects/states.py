"""Names and numbers of states and actions, as oned's documentation gives them."""
from __future__ import annotations

VM_STATES = {"INIT": 0, "PENDING": 1, "HOLD": 2, "ACTIVE": 3, "STOPPED": 4, "SUSPENDED": 5, "DONE": 6,
             "POWEROFF": 8, "UNDEPLOYED": 9, "CLONING": 10, "CLONING_FAILURE": 11}

_LCM_NAMES = [
    "LCM_INIT", "PROLOG", "BOOT", "RUNNING", "MIGRATE", "SAVE_STOP", "SAVE_SUSPEND", "SAVE_MIGRATE",
    "PROLOG_MIGRATE", "PROLOG_RESUME", "EPILOG_STOP", "EPILOG", "SHUTDOWN", "-", "-", "CLEANUP_RESUBMIT",
    "UNKNOWN", "HOTPLUG", "SHUTDOWN_POWEROFF", "BOOT_UNKNOWN", "BOOT_POWEROFF", "BOOT_SUSPENDED",
    "BOOT_STOPPED", "CLEANUP_DELETE", "HOTPLUG_SNAPSHOT", "HOTPLUG_NIC", "HOTPLUG_SAVEAS",
    "HOTPLUG_SAVEAS_POWEROFF", "HOTPLUG_SAVEAS_SUSPENDED", "SHUTDOWN_UNDEPLOY", "EPILOG_UNDEPLOY",
    "PROLOG_UNDEPLOY", "BOOT_UNDEPLOY", "HOTPLUG_PROLOG_POWEROFF", "HOTPLUG_EPILOG_POWEROFF",
    "BOOT_MIGRATE", "BOOT_FAILURE", "BOOT_MIGRATE_FAILURE", "PROLOG_MIGRATE_FAILURE", "PROLOG_FAILURE",
    "EPILOG_FAILURE", "EPILOG_STOP_FAILURE", "EPILOG_UNDEPLOY_FAILURE", "PROLOG_MIGRATE_POWEROFF",
    "PROLOG_MIGRATE_POWEROFF_FAILURE", "PROLOG_MIGRATE_SUSPEND", "PROLOG_MIGRATE_SUSPEND_FAILURE",
    "BOOT_UNDEPLOY_FAILURE", "BOOT_STOPPED_FAILURE", "PROLOG_RESUME_FAILURE", "PROLOG_UNDEPLOY_FAILURE",
    "DISK_SNAPSHOT_POWEROFF", "DISK_SNAPSHOT_REVERT_POWEROFF", "DISK_SNAPSHOT_DELETE_POWEROFF",
    "DISK_SNAPSHOT_SUSPENDED", "-", "DISK_SNAPSHOT_DELETE_SUSPENDED", "DISK_SNAPSHOT", "-",
    "DISK_SNAPSHOT_DELETE", "PROLOG_MIGRATE_UNKNOWN", "PROLOG_MIGRATE_UNKNOWN_FAILURE", "DISK_RESIZE",
    "DISK_RESIZE_POWEROFF", "DISK_RESIZE_UNDEPLOYED", "HOTPLUG_NIC_POWEROFF", "HOTPLUG_RESIZE",
    "HOTPLUG_SAVEAS_UNDEPLOYED", "HOTPLUG_SAVEAS_STOPPED", "BACKUP", "BACKUP_POWEROFF", "RESTORE",
]
LCM_STATES = {name: number for number, name in enumerate(_LCM_NAMES) if name != "-"}

IMAGE_STATES = {"INIT": 0, "READY": 1, "USED": 2, "DISABLED": 3, "LOCKED": 4, "ERROR": 5, "CLONE": 6,
                "DELETE": 7, "USED_PERS": 8, "LOCKED_USED": 9, "LOCKED_USED_PERS": 10}
# Hooks (and messages) know persistent images in use under the plain names.
IMAGE_STATE_TEXT = {number: name.replace("_PERS", "") for name, number in IMAGE_STATES.items()}
IMAGE_HOOK_STATES = set(IMAGE_STATES)

IMAGE_TYPES = {"OS": 0, "CDROM": 1, "DATABLOCK": 2, "KERNEL": 3, "RAMDISK": 4, "CONTEXT": 5, "BACKUP": 6,
               "FILESYSTEM": 7}
IMAGE_TYPE_TEXT = {number: name for name, number in IMAGE_TYPES.items()}
DISK_TYPES = {"FILE": 0, "CDROM": 1, "BLOCK": 2, "RBD": 3, "RBD_CDROM": 4, "GLUSTER": 5, "GLUSTER_CDROM": 6,
              "SHEEPDOG": 7, "SHEEPDOG_CDROM": 8, "ISCSI": 9, "FILE_SYSTEM": 10}
DATASTORE_TYPES = {"IMAGE_DS": 0, "SYSTEM_DS": 1, "FILE_DS": 2, "BACKUP_DS": 3}

HOST_STATES = {"INIT": 0, "MONITORING_MONITORED": 1, "MONITORED": 2, "ERROR": 3, "DISABLED": 4,
               "MONITORING_ERROR": 5, "MONITORING_INIT": 6, "MONITORING_DISABLED": 7, "OFFLINE": 8}
VNET_STATES = {"INIT": 0, "READY": 1, "LOCK_CREATE": 2, "LOCK_DELETE": 3, "DONE": 4, "ERROR": 5,
               "UPDATE_FAILURE": 6}

HOOK_ALIASES = {
    "PROLOG": ("ACTIVE", "PROLOG"), "RUNNING": ("ACTIVE", "RUNNING"), "SHUTDOWN": ("ACTIVE", "SHUTDOWN"),
    "CREATE": ("PENDING", "LCM_INIT"), "STOP": ("STOPPED", "LCM_INIT"), "DONE": ("DONE", "LCM_INIT"),
    "UNKNOWN": ("ACTIVE", "UNKNOWN"),
}

ACTIONS = {
    "none": 0, "migrate": 1, "live-migrate": 2, "undeploy": 5, "undeploy-hard": 6, "hold": 7, "release": 8,
    "stop": 9, "suspend": 10, "resume": 11, "delete": 13, "delete-recreate": 14, "reboot": 15,
    "reboot-hard": 16, "resched": 17, "unresched": 18, "poweroff": 19, "poweroff-hard": 20, "disk-attach": 21,
    "disk-detach": 22, "nic-attach": 23, "nic-detach": 24, "disk-snapshot-create": 25,
    "disk-snapshot-delete": 26, "terminate": 27, "terminate-hard": 28, "disk-resize": 29, "deploy": 30,
    "disk-snapshot-revert": 41, "recover": 42, "retry": 43, "monitor": 44, "alias-attach": 46,
    "alias-detach": 47, "poweroff-migrate": 48, "poweroff-hard-migrate": 49,
}


def vm_state_name(number: int) -> str:
    """Name of a VM state."""
    return next(name for name, value in VM_STATES.items() if value == number)


def lcm_state_name(number: int) -> str:
    """Name of a life-cycle state."""
    return _LCM_NAMES[number]
