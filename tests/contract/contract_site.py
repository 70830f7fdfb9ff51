"""A stand-in front-end with recording drivers and hooks, laid out like the front-end that was recorded."""
from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyone
from lxml import etree

from sandbox.frontend import tree
from sandbox.frontend.objects.states import IMAGE_STATES, LCM_STATES

HERE = Path(__file__).resolve().parent
RECORDER = HERE / "recorder"
LIMIT = 20.0
OWNER = "oneadmin:SECRET"

DATASTORE_ACTIONS = ("cp", "mkfs", "clone", "rm", "stat", "monitor", "snap_delete", "snap_revert", "snap_flatten")
TM_ACTIONS = ("clone", "ln", "mkimage", "mkswap", "context", "mvds", "cpds", "delete", "mv", "resize", "snap_create",
              "snap_create_live", "snap_delete", "snap_revert", "premigrate", "postmigrate", "failmigrate", "monitor")
VMM_ACTIONS = ("deploy", "shutdown", "cancel", "save", "restore", "migrate", "attach_disk", "detach_disk",
               "attach_nic", "detach_nic", "prereconfigure", "reconfigure", "reboot", "reset", "resize_disk",
               "snapshot_create")

CONF = """
TM_MAD_CONF = [
    NAME = "{name}", LN_TARGET = "NONE", CLONE_TARGET = "SELF", SHARED = "YES", DRIVER = "raw",
    ALLOW_ORPHANS = "mixed", TM_MAD_SYSTEM = "ssh", LN_TARGET_SSH = "SYSTEM", CLONE_TARGET_SSH = "SYSTEM",
    DISK_TYPE_SSH = "FILE", DS_MIGRATE = "{migrate}", DS_LIVE_MIGRATE = "{migrate}", DS_MIGRATE_SNAP = "{migrate}"
]
DS_MAD_CONF = [
    NAME = "{name}", REQUIRED_ATTRS = "DISK_TYPE,BRIDGE_LIST", PERSISTENT_ONLY = "NO", MARKETPLACE_ACTIONS = "export"
]
"""
VMM_CONF = """
VM_MAD = [ NAME = "recvmm", EXECUTABLE = "one_vmm_exec", ARGUMENTS = "-t 15 -r 0 recvmm", TYPE = "kvm" ]
INHERIT_DATASTORE_ATTR = "DR_MODE"
INHERIT_IMAGE_ATTR = "DR_ID"
"""
IMAGE_DS = """NAME=imgrec
DS_MAD=recorder
TM_MAD=recorder
DISK_TYPE=RBD
BRIDGE_LIST="127.0.0.1"
POOL_NAME=one
CEPH_HOST="mon1 mon2:6790"
CEPH_SECRET="11111111-2222-3333-4444-555555555555"
CEPH_USER=libvirt
CEPH_CONF="/etc/ceph/ceph.conf"
RBD_FORMAT=2
DR_MODE=snapshot
DR_PEER=siteB
"""
SYSTEM_DS = """NAME={name}
TM_MAD=recorder
TYPE=SYSTEM_DS
DISK_TYPE=RBD
BRIDGE_LIST="127.0.0.1"
POOL_NAME=one
CEPH_HOST="mon1 mon2:6790"
CEPH_SECRET="11111111-2222-3333-4444-555555555555"
CEPH_USER=libvirt
"""
NETWORK = """NAME={name}
VN_MAD=dummy
BRIDGE=br0
DNS={gateway}
GATEWAY={gateway}
AR=[TYPE=IP4,IP={first},SIZE=50]
"""


def until(what: str, condition: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Wait for a condition; fail when it does not come true in time."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not in {limit} s: {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class Call:
    """A recorded driver call."""

    name: str
    argv: list[str]
    stdin: str
    place: list[str]
    """Folder, priority and environment, of monitor calls only."""

    @property
    def environment(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.place[2:] if "=" in line)

    @property
    def xml(self) -> str:
        return base64.b64decode(self.stdin).decode() if self.stdin else ""


@dataclass(frozen=True)
class Event:
    """A hook that ran: its label and the decoded XML."""

    label: str
    xml: str


def free_port() -> int:
    """A port nobody listens at."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Site:
    """The front-end, its hook process, and what both did."""

    def __init__(self, folder: Path) -> None:
        self.location = folder / "one"
        self.var = self.location / "var"
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ids: dict[str, int] = {}
        tree.make(self.location, OWNER.partition(":")[2])
        self._configure()

    # The tree

    def _configure(self) -> None:
        conf = self.location / "etc" / "oned.conf"
        text = conf.read_text()
        for old, new in (
            ("-d dummy,shared,ssh,ceph", "-d dummy,shared,ssh,ceph,recorder,ceph_dr"),
            ("-d dummy,fs,ceph -s shared,ssh,ceph",
             "-d dummy,fs,ceph,recorder,ceph_dr -s shared,ssh,ceph,recorder,ceph_dr"),
            ("MONITORING_INTERVAL_DATASTORE = 20", "MONITORING_INTERVAL_DATASTORE = 2"),
            ("LOG_RETENTION = 20", "LOG_RETENTION = 100"),
        ):
            assert old in text, f"oned.conf of the stand-in has no {old}"
            text = text.replace(old, new)
        text += CONF.format(name="recorder", migrate="YES") + CONF.format(name="ceph_dr", migrate="NO") + VMM_CONF
        conf.write_text(text)
        execrc = self.location / "etc" / "vmm_exec" / "vmm_execrc"
        execrc.write_text(execrc.read_text().replace("kvm-ssh", "kvm-ssh recvmm-recorder"))
        for folder in ("calls", "answers", "events"):
            (self.var / folder).mkdir()
        remotes = self.var / "remotes"
        for family, driver, actions in (("datastore", "recorder", DATASTORE_ACTIONS), ("tm", "recorder", TM_ACTIONS),
                                        ("vmm", "recvmm", VMM_ACTIONS)):
            (remotes / family / driver).mkdir(parents=True)
            for action in actions:
                (remotes / family / driver / action).symlink_to(RECORDER / "driver")
        for family, action in (("datastore", "rm"), ("datastore", "monitor"), ("tm", "monitor"), ("tm", "ln"),
                               ("tm", "delete")):
            (remotes / family / "ceph_dr").mkdir(exist_ok=True)
            quiet = remotes / family / "ceph_dr" / action
            quiet.write_text("#!/bin/sh\necho USED_MB=1\necho TOTAL_MB=20000\necho FREE_MB=10000\n")
            quiet.chmod(0o755)
        (remotes / "tm" / "ceph_dr" / "clone").symlink_to("ln")
        shutil.copy(RECORDER / "hook", remotes / "hooks" / "rechook")

    def answer(self, action: str, script: str | None) -> None:
        """What drivers say to `FAMILY-ACTION` from now on: shell text; None for the usual answer."""
        path = self.var / "answers" / action
        if script is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(script + "\n")

    # Processes

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}/RPC2"

    def start(self, name: str) -> None:
        """Start `frontend` or `hookd` and wait until it serves."""
        module = {"frontend": "sandbox.frontend", "hookd": "sandbox.frontend.hooks.process"}[name]
        argv = [sys.executable, "-m", module, "--location", str(self.location), "--listen", self.address]
        with open(self.location.parent / f"{name}.out", "ab") as out:
            self.processes[name] = subprocess.Popen(argv, stdout=out, stderr=out, cwd=HERE.parent.parent)
        if name == "frontend":
            until("front-end answers", self._answers)
        else:
            log = self.var / "onehem.log"
            until("hook process listens", lambda: log.exists() and "listening" in log.read_text())

    def _answers(self) -> bool:
        """An open port is not enough: a driver that a killed front-end was just starting may still hold it."""
        try:
            return bool(self.call("one.system.version")[0])
        except OSError:
            return False

    def stop(self, name: str, kill: bool = False) -> int:
        """End a process; gives its exit code."""
        process = self.processes.pop(name)
        (process.kill if kill else process.terminate)()
        return process.wait(LIMIT)

    def close(self) -> None:
        """End everything."""
        for name in list(self.processes):
            self.stop(name, kill=True)

    # Calls

    def call(self, method: str, *arguments: Any, session: str = OWNER) -> list[Any]:
        """An XML-RPC call as it is."""
        with xmlrpc.client.ServerProxy(self.endpoint, allow_none=True) as proxy:
            answer: list[Any] = getattr(proxy, method)(session, *arguments)
            return answer

    def must(self, method: str, *arguments: Any, session: str = OWNER) -> Any:
        """A call that has to succeed; gives its value."""
        answer = self.call(method, *arguments, session=session)
        assert answer[0], answer
        return answer[1]

    @property
    def one(self) -> Any:
        """pyone's server object."""
        return pyone.OneServer(self.endpoint, session=OWNER)

    def xml(self, kind: str, oid: int) -> Any:
        """An object as lxml tree."""
        return etree.fromstring(self.must(f"one.{kind}.info", oid))

    def image_state(self, oid: int) -> str:
        """Name of an image's state, or GONE."""
        answer = self.call("one.image.info", oid)
        if not answer[0]:
            return "GONE"
        number = int(etree.fromstring(answer[1]).findtext("STATE") or "")
        return next(name for name, value in IMAGE_STATES.items() if value == number)

    def wait_image(self, oid: int, state: str = "READY") -> int:
        """Wait for an image's state."""
        until(f"image {oid} is {state}, not {self.image_state(oid)}", lambda: self.image_state(oid) == state)
        return oid

    def vm_state(self, oid: int) -> tuple[int, int]:
        """State and life-cycle state."""
        found = self.xml("vm", oid)
        return int(found.findtext("STATE")), int(found.findtext("LCM_STATE"))

    def wait_vm(self, oid: int, state: int, lcm_state: int = 0) -> int:
        """Wait for a VM's state."""
        until(f"VM {oid} in {(state, lcm_state)}", lambda: self.vm_state(oid) == (state, lcm_state))
        return oid

    # What happened

    def _hem_is_quiet(self) -> bool:
        log = (self.var / "onehem.log").read_text()
        return log.count("Executing hook") == log.count(" ended with ")

    def settle(self) -> None:
        """All hooks of what was done before have ended: a last event passed the queue behind them."""
        self.must("one.document.rename", self.ids["barrier"], f"barrier-{time.monotonic_ns()}")
        until("the barrier's hook", lambda: any(path.name.startswith("barrier.") for path in self._events()))
        until("all hooks ended", self._hem_is_quiet)

    def _events(self) -> list[Path]:
        return [path for path in (self.var / "events").iterdir() if not path.name.startswith(".")]

    def take_events(self) -> list[Event]:
        """Hooks since the last time."""
        found = []
        for path in self._events():
            label, _, data = path.read_text().partition(" ")
            if label != "barrier":
                found.append(Event(label, base64.b64decode(data).decode() if data else ""))
            path.unlink()
        return found

    def take_calls(self, monitors: bool = False) -> list[Call]:
        """Driver calls since the last time, in order; monitor turns only when asked for."""
        found = []
        for path in sorted((self.var / "calls").iterdir()):
            name = path.name.split("-", 1)[1].rsplit(".", 1)[0]
            if not (path / "complete").exists():
                continue
            if not name.endswith("-monitor") or monitors:
                place = (path / "place").read_text().splitlines() if name.endswith("-monitor") else []
                found.append(Call(name, (path / "argv").read_text().splitlines(), (path / "stdin").read_text(), place))
            shutil.rmtree(path)
        return found


@contextlib.contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """A site with both processes and the objects of the recorded front-end."""
    os.environ.pop("ONE_AUTH", None)
    site = Site(folder)
    try:
        site.start("frontend")
        site.start("hookd")
        populate(site)
        yield site
    finally:
        site.close()


HOOK_IMAGE_STATES = ("READY", "USED", "DISABLED", "LOCKED", "ERROR", "DELETE", "USED_PERS")
VM_STATES = ("PENDING", "HOLD", "STOPPED", "SUSPENDED", "DONE", "POWEROFF", "UNDEPLOYED")
API_CALLS = (
    "one.datastore.allocate", "one.datastore.delete", "one.datastore.enable", "one.datastore.update",
    "one.image.allocate", "one.image.clone", "one.image.delete", "one.image.enable", "one.image.lock",
    "one.image.persistent", "one.image.rename", "one.image.snapshotdelete", "one.image.snapshotflatten",
    "one.image.snapshotrevert", "one.image.update", "one.vm.action", "one.vm.allocate", "one.vm.attach",
    "one.vm.attachnic", "one.vm.detach", "one.vm.diskresize", "one.vm.disksaveas", "one.vm.disksnapshotcreate",
    "one.vm.disksnapshotdelete", "one.vm.disksnapshotrevert", "one.vm.migrate", "one.vm.recover")


def _hook(site: Site, label: str, condition: str, stdin: bool = True, argument: str = "$TEMPLATE") -> None:
    way = "ARGUMENTS_STDIN=yes\n" if stdin else ""
    site.must("one.hook.allocate",
              f'NAME={label}\n{condition}COMMAND=rechook\nREMOTE=NO\nARGUMENTS="{label} {argument}"\n{way}')


def register_hooks(site: Site) -> None:
    """The hooks that were registered when the wire data were recorded."""
    for state in HOOK_IMAGE_STATES:
        _hook(site, f"img-{state}", f"TYPE=state\nRESOURCE=IMAGE\nSTATE={state}\n")
    _hook(site, "imgarg-READY", "TYPE=state\nRESOURCE=IMAGE\nSTATE=READY\n", stdin=False)
    for state in VM_STATES:
        _hook(site, f"vm-{state}-LCM_INIT",
              f"TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE={state}\nLCM_STATE=LCM_INIT\n")
    for state in LCM_STATES:
        if state != "LCM_INIT":
            _hook(site, f"vm-ACTIVE-{state}", f"TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE=ACTIVE\nLCM_STATE={state}\n")
    for state in ("INIT", "OFFLINE"):
        _hook(site, f"host-{state}", f"TYPE=state\nRESOURCE=HOST\nSTATE={state}\n")
    for call in API_CALLS:
        _hook(site, f"api-{call}", f"TYPE=api\nCALL={call}\n", argument="$API")
    _hook(site, "barrier", "TYPE=api\nCALL=one.document.rename\n", argument="$API")


def populate(site: Site) -> None:
    """Objects under the ids they had when recorded: datastores 102 to 104, hosts 1 and 2, networks 0 and 1."""
    for name in ("spare0", "spare1"):
        site.must("one.datastore.allocate", f"NAME={name}\nTM_MAD=dummy\nTYPE=SYSTEM_DS\n", -1)
    site.ids["image_ds"] = site.must("one.datastore.allocate", IMAGE_DS, -1)
    site.ids["system_ds"] = site.must("one.datastore.allocate", SYSTEM_DS.format(name="sysrec"), -1)
    site.ids["system_ds2"] = site.must("one.datastore.allocate", SYSTEM_DS.format(name="sysrec2"), -1)
    assert [site.ids[name] for name in ("image_ds", "system_ds", "system_ds2")] == [102, 103, 104]
    site.must("one.host.allocate", "dummyhost", "dummy", "dummy", -1)
    for name in ("rechost1", "rechost2"):
        site.must("one.host.allocate", name, "dummy", "recvmm", -1)
    for name, gateway, first in (("net1", "10.1.0.1", "10.1.0.10"), ("net2", "10.2.0.1", "10.2.0.10")):
        site.must("one.vn.allocate", NETWORK.format(name=name, gateway=gateway, first=first), -1)
    site.ids["barrier"] = site.must("one.document.allocate", "NAME=barrier\nX=1\n", 4000)
    for oid in (102, 103, 104):
        until(f"datastore {oid} monitored", lambda oid=oid: site.xml("datastore", oid).findtext("FREE_MB") == "10760")
