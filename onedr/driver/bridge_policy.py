"""What a bridge host may ask of its front-end, per action. Pure data: what is not listed is refused.

`services`: of the front-end itself; `methods`: of its oned; `peer`: of the peer's oned. The arguments of each
are checked too (driver/bridge_services.py, driver/bridge_api.py).
"""
from __future__ import annotations

from typing import NamedTuple

READS = frozenset({
    "datastore.info", "image.info", "imagepool.info", "vm.info", "vmpool.infoextended",
    "vnpool.info", "vn.info", "secgrouppool.info", "vmgrouppool.info", "hostpool.info", "userpool.info",
    "grouppool.info", "clusterpool.info", "acl.info", "datastorepool.info", "system.version",
})
_PROOFS = frozenset({"has_key", "key_fingerprint", "fits"})  # of records that are there
_RECORDS = _PROOFS | {"seal", "sign"}  # and to write some
_KEEPER = frozenset({"wake", "news", "reminded"})
_PAUSE = frozenset({"hold", "let_go"})
_PEER_READS = READS | {"user.info", "system.config"}
_OWN = frozenset({"datastore.update"})
_GUARD = frozenset({"vm.update", "vm.action", "vm.lock", "vm.unlock"})
_MAKE = frozenset({
    "vm.allocate", "vm.update", "vm.action", "vm.chown", "vm.chmod", "vm.detachsg", "image.allocate",
    "image.update", "image.chown", "image.chmod",
})
_RETURN = _MAKE | {
    "vm.lock", "vm.unlock", "vm.rename", "vm.detach", "vm.attach", "vm.diskresize", "vm.detachnic",
    "vm.attachnic", "vm.attachsg", "vm.schedadd", "vm.scheddelete", "vm.resize", "vm.updateconf",
    "image.enable", "image.rename", "image.lock", "image.unlock",
}
# numbers and names of disk snapshots, on VMs and images of the datastore and on the small VMs of a run
_SNAPSHOTS = frozenset({
    "vm.allocate", "vm.action", "vm.recover", "vm.attach", "vm.detach", "vm.disksnapshotcreate",
    "vm.disksnapshotdelete", "vm.disksnapshotrevert", "vm.disksnapshotrename",
})
_REMOVE = frozenset({"vm.action", "vm.recover", "image.delete"})  # only of what a run made
_DRILL = _MAKE | _REMOVE


class Allowed(NamedTuple):
    """All that a bridge host may ask for while it does one piece of work."""

    services: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    peer: frozenset[str] = frozenset()


_READER = frozenset({"configuration", *_PROOFS, *_KEEPER, *_PAUSE})
_VERB = _READER | _RECORDS
_SHOWS = frozenset({"document"})  # parts of the datastore's document
_LOOK = Allowed(_READER, READS)
_CHECK = Allowed(
    _READER | {"peer_clock"}, READS | {"hookpool.info", "system.config"}, _PEER_READS | {"hookpool.info"}
)
_WRITES = Allowed(_READER, READS | _OWN)
_RUN = Allowed(_VERB | _SHOWS | {"open"}, READS | _OWN | _RETURN | _SNAPSHOTS | _REMOVE, _PEER_READS | _GUARD)
_VM_DISK = Allowed(_RECORDS | _KEEPER, frozenset({"vm.info", "datastore.info"}))
_IMAGE = Allowed(_RECORDS | _KEEPER)
_DRILLS = frozenset({"keep_drill", "amend_drill"})

# By what the work is: a verb of `onedr`, or `<module>:<function>` of the driver.
ALLOWED = {
    "status": _LOOK,
    "observe": _LOOK,
    "history": _LOOK,
    "kept": _LOOK,
    "points": Allowed(_VERB, READS),  # a pin is signed
    "runbook": Allowed(_READER | {"open"}, READS, _PEER_READS),
    "snapshots": Allowed(_VERB, READS | _SNAPSHOTS),
    "check": _CHECK,
    "report": _CHECK,
    "rehearse": Allowed(_READER | {"open"}, READS | _DRILL),
    "map": Allowed(_VERB, READS, _PEER_READS),
    "recovery_plan": Allowed(_VERB, READS, _PEER_READS),
    "reconcile": Allowed(_VERB, READS | _OWN | _GUARD),
    "keeper_process:keep": Allowed(_VERB | _SHOWS | {"rehearse", "report"}, READS | _OWN | _GUARD),
    "take_request:take_request_here": Allowed(frozenset(), frozenset({"datastore.info"}) | _OWN),
    "take_request:answer_here": Allowed(frozenset(), frozenset({"datastore.info"}) | _OWN),
    "cancel": _WRITES,
    "pause": _WRITES,
    "resume_protection": _WRITES,
    "enable": Allowed(_VERB, READS | _OWN | {"system.config"}),
    "disable": Allowed(  # _REMOVE: what a rehearsal left
        _VERB | {"remove_document"}, READS | _OWN | _REMOVE | {"vm.update"}
    ),
    "move": _RUN,
    "failover": _RUN,
    "failback": _RUN,
    "abort": _RUN,
    "plan": Allowed(_READER | _SHOWS | {"open"}, READS | _OWN, _PEER_READS),
    "reprotect": Allowed(
        _VERB | _SHOWS, READS | _OWN | _GUARD, _PEER_READS
    ),
    "drill": Allowed(_READER | _SHOWS | _DRILLS | {"open"}, READS | _OWN | _DRILL, _PEER_READS),
    "drill_cleanup": Allowed(_READER | _SHOWS | _DRILLS, READS | _OWN | _DRILL, _PEER_READS),
    # it continues whichever run was interrupted
    "resume": Allowed(_RUN.services | _DRILLS, _RUN.methods | _DRILL, _RUN.peer),
    "datastore:cp": Allowed(_IMAGE.services | {"stage", "block"}),
    "datastore:mkfs": _IMAGE,
    "datastore:clone": _IMAGE,
    "datastore:rm": Allowed(_IMAGE.services, frozenset({"imagepool.info", "image.update"})),
    "snapshot:image_snap_delete": _IMAGE,
    "snapshot:image_snap_revert": _IMAGE,
    "snapshot:image_snap_flatten": _IMAGE,
    "monitor:monitor": Allowed(_KEEPER | {"vm_sizes"}),
    "restore:restore": Allowed(
        _VM_DISK.services | {"backup_disks", "backup_stage", "backup_block"}, _VM_DISK.methods
    ),
    **{
        f"{module}:{action}": _VM_DISK
        for module, actions in {
            "tm": "clone ln delete cpds mkimage mkswap resize",
            "local": "clone ln mvds cpds delete resize snapshot",
            "snapshot": "snap_create snap_create_live snap_delete snap_revert",
        }.items()
        for action in actions.split()
    },
}
# Work that locks VMs whose disks the peer writes, and leaves no other word on them than what they were.
LOCKS_VMS = ("reconcile", "keeper_process:keep", "reprotect")
# Work that may set a datastore's drivers, and to which; `disable` sets the stock ones.
SETS_DRIVERS = ("enable", "disable", "reconcile", "keeper_process:keep", "take_request:take_request_here")
# Words of vm.action. What ends a VM is for what a run made: a drill's VM, or one that lists snapshots.
ACTIONS = frozenset({"release", "resume", "hold", "poweroff", "poweroff-hard", "terminate-hard"})
ENDS_A_VM = ("terminate-hard",)
OWN_PREFIX = "DR_"  # of attributes that work may set on its datastore
# Where VM_ID is among the arguments of an action on a VM's disk; DATASTORE_ID follows it (O14).
VM_ID_AT = {
    "clone": 2, "ln": 2, "mvds": 2, "delete": 1, "cpds": 3, "mkimage": 3, "mkswap": 2, "resize": 2,
    "snap_create": 2, "snap_create_live": 2, "snap_delete": 2, "snap_revert": 2, "snapshot": 2, "restore": 1,
}
