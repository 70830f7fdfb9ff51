"""Cases on virtual machines that go well, in the order in which they were recorded."""
from __future__ import annotations

from contract_cases import case
from contract_cases_ds import refused
from contract_site import Site

RUNNING = (3, 3)
SCHED = 'SCHED_REQUIREMENTS="NAME=rechost1"\nSCHED_DS_REQUIREMENTS="ID=103"\n'


def allocate(site: Site, name: str, disks: str, hold: bool = False, extra: str = "") -> int:
    """A new VM in the shape of the recorded ones."""
    text = f'NAME={name}\nCPU=0.1\nMEMORY=64\n{disks}CONTEXT=[NETWORK="YES"]\n{SCHED}{extra}'
    site.ids[name] = site.must("one.vm.allocate", text, hold)
    return site.ids[name]


def disk(site: Site, name: str) -> str:
    """A DISK of an image."""
    return f"DISK=[IMAGE_ID={site.ids[name]},DEV_PREFIX=vd]\n"


def act(site: Site, name: str, action: str, state: int, lcm_state: int = 0) -> None:
    """one.vm.action and the state it leads to."""
    site.must("one.vm.action", action, site.ids[name])
    site.wait_vm(site.ids[name], state, lcm_state)


@case("vm/vm-create")
def create(site: Site) -> None:
    disks = (disk(site, "cp2") + disk(site, "mk1") + "DISK=[TYPE=fs,SIZE=16,FORMAT=raw]\nDISK=[TYPE=swap,SIZE=8]\n"
             + f"DISK=[IMAGE_ID={site.ids['cd1']}]\n")
    text = (f'NAME=v1\nCPU=0.1\nMEMORY=64\n{disks}NIC=[NETWORK_ID=0]\nOS=[BOOT=disk0]\n'
            'GRAPHICS=[TYPE=VNC,LISTEN="0.0.0.0"]\n'
            f'CONTEXT=[NETWORK="YES",START_SCRIPT="echo hi"]\n{SCHED}')
    site.ids["v1"] = site.must("one.vm.allocate", text, False)
    site.wait_vm(site.ids["v1"], *RUNNING)


@case("vm/vm-snap-live-create")
def snapshot_live(site: Site) -> None:
    assert site.must("one.vm.disksnapshotcreate", site.ids["v1"], 1, "s-live") == 0
    site.wait_vm(site.ids["v1"], *RUNNING)


@case("vm/vm-resize-live")
def resize_live(site: Site) -> None:
    site.must("one.vm.diskresize", site.ids["v1"], 0, "2048")
    site.wait_vm(site.ids["v1"], *RUNNING)


@case("vm/vm-saveas-live")
def saveas_live(site: Site) -> None:
    oid = site.must("one.vm.disksaveas", site.ids["v1"], 0, "saved-live", "", -1)
    site.wait_vm(site.ids["v1"], *RUNNING)
    site.wait_image(oid)


def migrate(site: Site, name: str, host: int, live: bool, state: tuple[int, int], datastore: int = -1) -> None:
    """one.vm.migrate and the state it leads to."""
    site.must("one.vm.migrate", site.ids[name], host, live, False, datastore, 0)
    site.wait_vm(site.ids[name], *state)


def place(site: Site, name: str) -> tuple[str, str]:
    """Host and system datastore of a VM."""
    last = site.xml("vm", site.ids[name]).findall("HISTORY_RECORDS/HISTORY")[-1]
    return str(last.findtext("HOSTNAME")), str(last.findtext("DS_ID"))


@case("vm/vm-migrate-live")
def migrate_live(site: Site) -> None:
    migrate(site, "v1", 2, True, RUNNING)
    assert place(site, "v1") == ("rechost2", "103")


@case("vm/vm-migrate-cold")
def migrate_cold(site: Site) -> None:
    migrate(site, "v1", 1, False, RUNNING)
    assert place(site, "v1") == ("rechost1", "103")


def _simple(name: str, action: str, state: int, lcm_state: int = 0) -> None:
    @case(f"vm/{name}")
    def play(site: Site) -> None:
        act(site, "v1", action, state, lcm_state)


_simple("vm-suspend", "suspend", 5)
_simple("vm-resume-susp", "resume", *RUNNING)
_simple("vm-stop", "stop", 4)
_simple("vm-resume-stop", "resume", *RUNNING)
_simple("vm-undeploy", "undeploy", 9)
_simple("vm-resume-undeploy", "resume", *RUNNING)
_simple("vm-poweroff", "poweroff", 8)


@case("vm/vm-snap-create-off")
def snapshot_off(site: Site) -> None:
    assert site.must("one.vm.disksnapshotcreate", site.ids["v1"], 1, "s-off") == 1
    site.wait_vm(site.ids["v1"], 8)


@case("vm/vm-snap-create-off-np")
def snapshot_off_np(site: Site) -> None:
    assert site.must("one.vm.disksnapshotcreate", site.ids["v1"], 0, "s-np") == 0
    site.wait_vm(site.ids["v1"], 8)


@case("vm/vm-snap-revert")
def snapshot_revert(site: Site) -> None:
    site.must("one.vm.disksnapshotrevert", site.ids["v1"], 1, 0)
    site.wait_vm(site.ids["v1"], 8)
    tree = next(one for one in site.xml("vm", site.ids["v1"]).findall("SNAPSHOTS") if one.findtext("DISK_ID") == "1")
    assert (tree.findtext("CURRENT_BASE"), tree.findtext("SNAPSHOT/ACTIVE")) == ("0", "YES")


@case("vm/vm-snap-delete")
def snapshot_delete(site: Site) -> None:
    site.must("one.vm.disksnapshotdelete", site.ids["v1"], 1, 1)
    site.wait_vm(site.ids["v1"], 8)


@case("vm/vm-resize-off")
def resize_off(site: Site) -> None:
    site.must("one.vm.diskresize", site.ids["v1"], 2, "64")
    site.wait_vm(site.ids["v1"], 8)


@case("vm/vm-saveas-off")
def saveas_off(site: Site) -> None:
    oid = site.must("one.vm.disksaveas", site.ids["v1"], 1, "saved-off", "", -1)
    site.wait_vm(site.ids["v1"], 8)
    site.wait_image(oid)


@case("vm/vm-migrate-off-ds")
def migrate_off_datastore(site: Site) -> None:
    migrate(site, "v1", 1, False, (8, 0), datastore=104)


@case("vm/vm-migrate-off-host")
def migrate_off_host(site: Site) -> None:
    migrate(site, "v1", 2, False, (8, 0))
    assert place(site, "v1") == ("rechost2", "104")


@case("vm/vm-detach-off")
def detach_off(site: Site) -> None:
    site.must("one.vm.detach", site.ids["v1"], 4)
    site.wait_vm(site.ids["v1"], 8)
    assert site.image_state(site.ids["cd1"]) == "READY"


def attach(site: Site, name: str, text: str, state: int, lcm_state: int = 0) -> None:
    """one.vm.attach and the state it leads to."""
    site.must("one.vm.attach", site.ids[name], text)
    site.wait_vm(site.ids[name], state, lcm_state)


@case("vm/vm-attach-off")
def attach_off(site: Site) -> None:
    attach(site, "v1", disk(site, "cp1"), 8)


_simple("vm-resume-off", "resume", *RUNNING)


@case("vm/vm-attach-live-np")
def attach_non_persistent(site: Site) -> None:
    attach(site, "v1", disk(site, "mk2"), *RUNNING)


@case("vm/vm-attach-live-volatile")
def attach_volatile(site: Site) -> None:
    attach(site, "v1", "DISK=[TYPE=fs,SIZE=8,FORMAT=raw,DEV_PREFIX=vd]\n", *RUNNING)


@case("vm/vm-attach-live-pers", before=lambda site: site.must("one.image.persistent", site.ids["src5"], True))
def attach_persistent(site: Site) -> None:
    attach(site, "v1", disk(site, "src5"), *RUNNING)
    assert site.image_state(site.ids["src5"]) == "USED_PERS"


def _detach(name: str, number: int, image_name: str) -> None:
    @case(f"vm/{name}")
    def play(site: Site) -> None:
        site.must("one.vm.detach", site.ids["v1"], number)
        site.wait_vm(site.ids["v1"], *RUNNING)
        assert site.image_state(site.ids[image_name]) == "READY"


_detach("vm-detach-live-np", 7, "mk2")
_detach("vm-detach-live-pers", 9, "src5")


@case("vm/vm-attach-nic")
def attach_nic(site: Site) -> None:
    site.must("one.vm.attachnic", site.ids["v1"], "NIC=[NETWORK_ID=1]\n")
    site.wait_vm(site.ids["v1"], *RUNNING)
    nic = site.xml("vm", site.ids["v1"]).findall("TEMPLATE/NIC")[1]
    assert (nic.findtext("IP"), nic.findtext("MAC"), nic.findtext("TARGET")) == (
        "10.2.0.10", "02:00:0a:02:00:0a", f"one-{site.ids['v1']}-1")


@case("vm/vm-snapshot")
def system_snapshot(site: Site) -> None:
    site.must("one.vm.snapshotcreate", site.ids["v1"], "sys1")
    site.wait_vm(site.ids["v1"], *RUNNING)


@case("vm/vm-reboot")
def reboot(site: Site) -> None:
    from contract_site import until
    site.must("one.vm.action", "reboot", site.ids["v1"])
    until("the driver rebooted", lambda: any("vmm-recvmm-reboot" in path.name and (path / "complete").exists()
                                             for path in (site.var / "calls").iterdir()))
    assert site.vm_state(site.ids["v1"]) == RUNNING


_simple("vm-poweroff-hard", "poweroff-hard", 8)
_simple("vm-resume2", "resume", *RUNNING)


@case("vm/vm-terminate")
def terminate(site: Site) -> None:
    act(site, "v1", "terminate", 6)
    for name in ("cp2", "mk1", "cp1"):
        assert site.image_state(site.ids[name]) == "READY"


# What the VM left on its persistent image

@case("ds/img-snap-revert")
def image_revert(site: Site) -> None:
    site.must("one.image.snapshotrevert", site.ids["mk1"], 0)
    site.wait_image(site.ids["mk1"])


@case("ds/img-snap-delete")
def image_delete_active(site: Site) -> None:
    refused(site, "one.image.snapshotdelete", site.ids["mk1"], 0, text="Cannot delete the active snapshot", code=2048)


@case("ds/img-snap-flatten")
def image_flatten(site: Site) -> None:
    site.must("one.image.snapshotflatten", site.ids["mk1"], 0)
    site.wait_image(site.ids["mk1"])
    assert not site.xml("image", site.ids["mk1"]).findall("SNAPSHOTS/SNAPSHOT")
