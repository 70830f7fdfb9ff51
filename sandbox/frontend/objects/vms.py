"""Virtual machine objects: their XML in its three lengths, history, and state events."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.pool_object import StatefulObject
from sandbox.frontend.objects.snapshots import Snapshots
from sandbox.frontend.objects.states import ACTIONS, LCM_STATES, VM_STATES, lcm_state_name, vm_state_name
from sandbox.frontend.objects.templates import Template, Vector, cdata
from sandbox.frontend.objects.users import Caller

LONGEST_ERROR = 100
_SHORT_DISK = ("DISK_ID", "DATASTORE", "DATASTORE_ID", "IMAGE", "IMAGE_ID", "SIZE", "TYPE", "CLONE",
               "CLONE_TARGET", "LN_TARGET", "DISK_SNAPSHOT_TOTAL_SIZE")
_SHORT_NIC = ("IP", "IP6", "IP6_ULA", "IP6_GLOBAL", "MAC", "NETWORK", "NETWORK_ID", "NIC_ID",
              "SECURITY_GROUPS")
_SHORT_USER = ("LABELS", "SCHED_MESSAGE", "ERROR", "SCHED_RANK", "RANK", "SCHED_REQUIREMENTS",
               "SCHED_DS_RANK", "SCHED_DS_REQUIREMENTS", "PUBLIC_CLOUD")


@dataclass
class History:
    """One stay of a VM at a host and system datastore."""

    seq: int
    hostname: str
    hid: int
    cid: int
    vm_mad: str
    tm_mad: str
    ds_id: int
    stime: int = 0
    etime: int = 0
    pstime: int = 0
    petime: int = 0
    rstime: int = 0
    retime: int = 0
    estime: int = 0
    eetime: int = 0
    action: int = 0
    uid: int = -1
    gid: int = -1
    request_id: int = -1

    def to_xml(self, oid: int) -> str:
        """A full record."""
        return (f"<HISTORY><OID>{oid}</OID><SEQ>{self.seq}</SEQ><HOSTNAME>{self.hostname}</HOSTNAME>"
                f"<HID>{self.hid}</HID><CID>{self.cid}</CID><STIME>{self.stime}</STIME><ETIME>{self.etime}</ETIME>"
                f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
                f"<DS_ID>{self.ds_id}</DS_ID><PLAN_ID>-1</PLAN_ID><ACTION_ID>0</ACTION_ID>"
                f"<PSTIME>{self.pstime}</PSTIME><PETIME>{self.petime}</PETIME><RSTIME>{self.rstime}</RSTIME>"
                f"<RETIME>{self.retime}</RETIME><ESTIME>{self.estime}</ESTIME><EETIME>{self.eetime}</EETIME>"
                f"<ACTION>{self.action}</ACTION><UID>{self.uid}</UID><GID>{self.gid}</GID>"
                f"<REQUEST_ID>{self.request_id}</REQUEST_ID></HISTORY>")

    def short_xml(self, oid: int) -> str:
        """The record inside a pool listing."""
        return (f"<HISTORY><OID>{oid}</OID><SEQ>{self.seq}</SEQ><HOSTNAME>{cdata(self.hostname)}</HOSTNAME>"
                f"<HID>{self.hid}</HID><CID>{self.cid}</CID><DS_ID>{self.ds_id}</DS_ID>"
                f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
                f"<ACTION>{cdata(str(self.action))}</ACTION></HISTORY>")


@dataclass
class VM(StatefulObject):
    """A virtual machine."""

    KIND: ClassVar[str] = "vm"
    ROOT: ClassVar[str] = "VM"
    LABEL: ClassVar[str] = "virtual machine"

    state: int = 0
    lcm_state: int = 0
    prev_state: int = 0
    prev_lcm_state: int = 0
    resched: int = 0
    stime: int = 0
    etime: int = 0
    deploy_id: str = ""
    user_template: Template = field(default_factory=Template)
    history: list[History] = field(default_factory=list)
    snapshots: dict[str, Snapshots] = field(default_factory=dict)
    operation: dict[str, str] = field(default_factory=dict)
    """What a hotplug state is about: name of the action, disk or NIC."""
    last_poll: int = 0
    backup: dict[str, str] = field(default_factory=dict)
    """BACKUP_CONFIG."""

    def __post_init__(self) -> None:
        self.history = [History(**one) if isinstance(one, dict) else one for one in self.history]
        self.snapshots = {key: Snapshots(**one) if isinstance(one, dict) else one
                          for key, one in self.snapshots.items()}

    def to_xml(self) -> str:
        return self._xml(self.history)

    def driver_xml(self) -> str:
        """What drivers get: the last history record only."""
        return self._xml(self.history[-1:])

    def _xml(self, shown: list[History]) -> str:
        records = "".join(record.to_xml(self.oid) for record in shown)
        history = f"<HISTORY_RECORDS>{records}</HISTORY_RECORDS>" if records else "<HISTORY_RECORDS/>"
        snapshots = "".join(one.to_xml() for one in self.snapshots.values() if one.items)
        return (f"<VM>{self._head()}{self.permissions_xml()}<LAST_POLL>{self.last_poll}</LAST_POLL>"
                f"<STATE>{self.state}</STATE><LCM_STATE>{self.lcm_state}</LCM_STATE>"
                f"<PREV_STATE>{self.prev_state}</PREV_STATE><PREV_LCM_STATE>{self.prev_lcm_state}</PREV_LCM_STATE>"
                f"{self._times()}{self.lock_xml()}<MONITORING></MONITORING><SCHED_ACTIONS></SCHED_ACTIONS>"
                f"{self.template.to_xml()}{self.user_template.to_xml('USER_TEMPLATE')}{history}{snapshots}"
                f"{self._backups()}</VM>")

    def _backups(self) -> str:
        kept = "".join(f"<{key}>{cdata(value)}</{key}>" for key, value in self.backup.items())
        config = f"<BACKUP_CONFIG>{kept}</BACKUP_CONFIG>" if kept else "<BACKUP_CONFIG/>"
        return f"<BACKUPS>{config}<BACKUP_IDS></BACKUP_IDS></BACKUPS>"

    def _head(self) -> str:
        return (f"<ID>{self.oid}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID><UNAME>{self.uname}</UNAME>"
                f"<GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME>")

    def _times(self) -> str:
        return (f"<RESCHED>{self.resched}</RESCHED><STIME>{self.stime}</STIME><ETIME>{self.etime}</ETIME>"
                f"<DEPLOY_ID>{self.deploy_id}</DEPLOY_ID>")

    def pool_xml(self) -> str:
        lock = f"<LOCK><LOCKED>{self.lock.level}</LOCKED></LOCK>" if self.lock else ""
        graphics = Template.of(GRAPHICS=self.template.vectors("GRAPHICS")).to_xml("X")[3:-4]
        user = {key: self.user_template[key] for key in _SHORT_USER if key in self.user_template}
        user_xml = "".join(Template({key: values}).to_xml("X")[3:-4] for key, values in user.items())
        history = self.history[-1].short_xml(self.oid) if self.history else ""
        return (
            f"<VM>{self._head()}<LAST_POLL>{self.last_poll}</LAST_POLL><STATE>{self.state}</STATE>"
            f"<LCM_STATE>{self.lcm_state}</LCM_STATE>{self._times()}{lock}<TEMPLATE><CPU>{self.template.text('CPU')}"
            f"</CPU><MEMORY>{self.template.text('MEMORY')}</MEMORY><VCPU>{self.template.text('VCPU')}</VCPU>"
            f"{_short('DISK', self.disks, _SHORT_DISK)}{_short('NIC', self.nics, _SHORT_NIC)}{graphics}"
            "</TEMPLATE>"
            f"<MONITORING/>{f'<USER_TEMPLATE>{user_xml}</USER_TEMPLATE>' if user_xml else '<USER_TEMPLATE/>'}"
            f"{f'<HISTORY_RECORDS>{history}</HISTORY_RECORDS>' if history else '<HISTORY_RECORDS/>'}</VM>")

    # Templates and disks

    @property
    def disks(self) -> list[Vector]:
        """The DISK vectors; changing one changes the VM."""
        return self.template.vectors("DISK")

    @property
    def nics(self) -> list[Vector]:
        """The NIC vectors."""
        return self.template.vectors("NIC")

    @property
    def aliases(self) -> list[Vector]:
        """The NIC_ALIAS vectors: more addresses on a NIC."""
        return self.template.vectors("NIC_ALIAS")

    @property
    def interfaces(self) -> list[Vector]:
        """NICs and aliases, which share their numbers."""
        return [*self.nics, *self.aliases]

    def disk(self, number: int) -> Vector | None:
        """A disk by DISK_ID."""
        return next((disk for disk in self.disks if disk["DISK_ID"] == str(number)), None)

    def set_error(self, message: str) -> None:
        """ERROR in the user template, cut as oned cuts it."""
        text = message[:LONGEST_ERROR]
        if len(message) >= LONGEST_ERROR:
            text += "... see more details in VM log"
        self.user_template.put("ERROR", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {text}")

    # States

    @property
    def state_name(self) -> str:
        """Name of the state."""
        return vm_state_name(self.state)

    @property
    def lcm_name(self) -> str:
        """Name of the life-cycle state."""
        return lcm_state_name(self.lcm_state)

    @property
    def state_text(self) -> str:
        """What error texts call the state."""
        return self.lcm_name if self.state_name == "ACTIVE" else self.state_name

    def enter(self, state: str, lcm_state: str = "LCM_INIT") -> None:
        """Change the state; the hooks get it when the VM is saved."""
        self.state, self.lcm_state = VM_STATES[state], LCM_STATES[lcm_state]

    def changed(self) -> bool:
        return (self.state, self.lcm_state) != (self.prev_state, self.prev_lcm_state)

    def event(self) -> tuple[str, str]:
        host = f"<REMOTE_HOST>{self.history[-1].hostname}</REMOTE_HOST>" if self.history else "<REMOTE_HOST/>"
        return (f"VM/{self.state_name}/{self.lcm_name}",
                f"<HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>VM</HOOK_OBJECT><STATE>{self.state_name}</STATE>"
                f"<LCM_STATE>{self.lcm_name}</LCM_STATE><RESOURCE_ID>{self.oid}</RESOURCE_ID>{host}{self.to_xml()}")

    def settle(self) -> None:
        self.prev_state, self.prev_lcm_state = self.state, self.lcm_state

    # Places

    @property
    def place(self) -> History:
        """The current history record; only VMs that were deployed have one."""
        return self.history[-1]

    @property
    def active_datastore(self) -> int:
        """System datastore in use, -1 for none."""
        return self.place.ds_id if self.history and self.state_name not in ("DONE", "PENDING", "HOLD") else -1

    @property
    def on_host(self) -> bool:
        """Whether the VM takes capacity of its host."""
        return bool(self.history) and self.state_name in ("ACTIVE", "POWEROFF", "SUSPENDED")

    def note_action(self, name: str, who: Caller | None, request: int = 0) -> None:
        """Write into the current record what was asked for, and by whom."""
        if self.history:
            record = self.place
            record.action = ACTIONS[name]
            if who is not None:
                record.uid, record.gid, record.request_id = who.uid, who.gid, request

    def next_record(self, name: str, who: Caller | None, request: int = 0) -> None:
        """Close the current record, with the action `name` if one is given; open one at the same place."""
        now = int(time.time())
        if name:
            self.note_action(name, who, request)
        old = self.place
        old.etime = now
        if not old.retime:
            old.retime = now
        self.history.append(History(old.seq + 1, old.hostname, old.hid, old.cid, old.vm_mad, old.tm_mad,
                                    old.ds_id, stime=now, rstime=now))


def _short(tag: str, vectors: list[Vector], names: tuple[str, ...]) -> str:
    shown = ("".join(f"<{name}>{cdata(vector[name])}</{name}>" for name in names if name in vector)
             for vector in vectors)
    return "".join(f"<{tag}>{inner}</{tag}>" for inner in shown)
