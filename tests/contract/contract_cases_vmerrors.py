"""Cases in which a VM operation fails, and the ways out of it."""
from __future__ import annotations

from collections.abc import Callable

from contract_cases import case
from contract_cases_ds import image, refused
from contract_cases_vm import RUNNING, act, allocate, attach, disk, migrate, place
from contract_site import Site, until

FAIL = 'echo "the reason <x>" >&2; echo line2 >&2; exit 1'
REASON = "the reason <x>line2"
TRANSFER = f"Error executing image transfer script: {REASON}"
PROLOG_FAILURE, EPILOG_FAILURE = (3, 39), (3, 40)


def _error_is(site: Site, name: str, wanted: str) -> None:
    text = site.xml("vm", site.ids[name]).findtext("USER_TEMPLATE/ERROR") or ""
    assert text.endswith(f": {wanted}"), text


def failing(action: str) -> Callable[[Site], object]:
    """A `before` that makes a driver action fail."""
    return lambda site: site.answer(action, FAIL)


def _images(site: Site) -> tuple[str, str]:
    return site.image_state(site.ids["mk1"]), site.image_state(site.ids["cp2"])


# VM 2 of the recording

@case("errors/err-tm-clone", before=failing("tm-clone"))
def clone_fails(site: Site) -> None:
    site.wait_vm(allocate(site, "f1", disk(site, "cp2") + disk(site, "mk1")), *PROLOG_FAILURE)
    _error_is(site, "f1", TRANSFER)
    assert _images(site) == ("USED_PERS", "USED")


@case("errors/err-tm-clone-retry")
def clone_fails_again(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f1"], 2)
    until("the stage has ended", lambda: site.vm_state(site.ids["f1"]) == PROLOG_FAILURE)


@case("vm/vm-recover-retry", before=lambda site: site.answer("tm-clone", None))
def retry(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f1"], 2)
    site.wait_vm(site.ids["f1"], *RUNNING)


@case("vm/vm-recover-recreate")
def recreate(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f1"], 4)
    until("a new deployment", lambda: len(site.xml("vm", site.ids["f1"]).findall("HISTORY_RECORDS/HISTORY")) == 2)
    site.wait_vm(site.ids["f1"], *RUNNING)


def _failed_migration(name: str, action: str) -> None:
    @case(f"errors/{name}", before=failing(action))
    def play(site: Site) -> None:
        site.must("one.vm.migrate", site.ids["f1"], 2, True, False, -1, 0)
        site.wait_vm(site.ids["f1"], *RUNNING)
        _error_is(site, "f1", f"MIGRATE: {REASON}")
        assert place(site, "f1")[0] == "rechost1"
        site.answer(action, None)


_failed_migration("err-vmm-migrate", "vmm-migrate")
_failed_migration("err-tm-premigrate", "tm-premigrate")


def _to_second_host(site: Site) -> None:
    migrate(site, "f1", 2, True, RUNNING)
    site.answer("tm-snap_create_live", FAIL)


@case("errors/err-tm-snap-live", before=_to_second_host)
def snapshot_fails(site: Site) -> None:
    site.must("one.vm.disksnapshotcreate", site.ids["f1"], 1, "x")
    site.wait_vm(site.ids["f1"], *RUNNING)
    _error_is(site, "f1", f"DISKSNAPSHOTCREATE: {REASON}")
    site.answer("tm-snap_create_live", None)


@case("errors/err-tm-resize", before=failing("tm-resize"))
def resize_fails(site: Site) -> None:
    site.must("one.vm.diskresize", site.ids["f1"], 0, "4096")
    site.wait_vm(site.ids["f1"], *RUNNING)
    _error_is(site, "f1", f"RESIZEDISK: {REASON}")
    assert site.xml("vm", site.ids["f1"]).findtext("TEMPLATE/DISK/SIZE") == "1024"
    site.answer("tm-resize", None)


@case("errors/err-tm-attach", before=failing("tm-clone"))
def attach_fails(site: Site) -> None:
    attach(site, "f1", disk(site, "cp1"), *RUNNING)
    _error_is(site, "f1", f"ATTACHDISK: {REASON}")
    assert site.image_state(site.ids["cp1"]) == "READY"
    site.answer("tm-clone", None)


@case("errors/err-tm-cpds", before=failing("tm-cpds"),
      ignore=("/DS_DRIVER_ACTION_DATA/IMAGE/TEMPLATE", "/DS_DRIVER_ACTION_DATA/DATASTORE/TEMPLATE"))
def saveas_fails(site: Site) -> None:
    oid = site.must("one.vm.disksaveas", site.ids["f1"], 0, "saved-fail", "", -1)
    site.wait_image(oid, "ERROR")
    site.wait_vm(site.ids["f1"], *RUNNING)
    _error_is(site, "f1", TRANSFER)
    site.answer("tm-cpds", None)


# Calls refused while the VM uses its images

@case("errors/err-image-delete-inuse")
def delete_in_use(site: Site) -> None:
    refused(site, "one.image.delete", site.ids["mk1"], False, code=2048,
            text="Cannot delete image. There are 1 VMs using it.")


@case("errors/err-image-disable-inuse")
def disable_in_use(site: Site) -> None:
    refused(site, "one.image.enable", site.ids["mk1"], False, code=8192,
            text="Could not disable image: Image cannot be in state USED.")


@case("errors/err-image-persistent-inuse")
def persistent_in_use(site: Site) -> None:
    refused(site, "one.image.persistent", site.ids["mk1"], False, code=8192,
            text="Could not make image non-persistent: Image cannot be in state USED.")


@case("errors/err-image-snap-inuse")
def flatten_in_use(site: Site) -> None:
    refused(site, "one.image.snapshotflatten", site.ids["mk1"], 0, code=2048,
            text="Cannot flatten snapshot in state USED")


@case("errors/err-tm-mvds-terminate", before=failing("tm-mvds"))
def give_back_fails(site: Site) -> None:
    act(site, "f1", "terminate", *EPILOG_FAILURE)
    _error_is(site, "f1", TRANSFER)
    assert _images(site) == ("USED_PERS", "USED")


@case("errors/err-tm-mvds-retry")
def give_back_fails_again(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f1"], 2)
    site.wait_vm(site.ids["f1"], *EPILOG_FAILURE)


@case("vm/vm-recover-retry-epilog", before=lambda site: site.answer("tm-mvds", None))
def retry_epilog(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f1"], 2)
    site.wait_vm(site.ids["f1"], 6)
    assert site.image_state(site.ids["mk1"]) == "READY"


# VM 3

@case("vm/vm-create-2")
def create_second(site: Site) -> None:
    site.wait_vm(allocate(site, "f2", disk(site, "cp2") + disk(site, "mk1")), *RUNNING)


@case("errors/err-tm-delete-terminate-hard", before=failing("tm-delete"))
def delete_fails(site: Site) -> None:
    act(site, "f2", "terminate-hard", *EPILOG_FAILURE)
    _error_is(site, "f2", TRANSFER)
    assert _images(site) == ("USED_PERS", "USED")


@case("vm/vm-recover-delete", before=lambda site: site.answer("tm-delete", None))
def recover_delete(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f2"], 3)
    site.wait_vm(site.ids["f2"], 6)
    assert site.image_state(site.ids["mk1"]) == "ERROR"
    _cleaned(site, 3)


def _cleaned(site: Site, deletes: int) -> None:
    def seen() -> int:
        return sum("tm-recorder-delete" in path.name and (path / "complete").exists()
                   for path in (site.var / "calls").iterdir())
    until("the drivers cleaned up", lambda: seen() == deletes)


@case("vm/vm-recover-failure-running")
def recover_done(site: Site) -> None:
    refused(site, "one.vm.recover", site.ids["f2"], 0, code=2048,
            text=f"Could not perform a recover operation on VM {site.ids['f2']}, wrong state DONE.")


# VM 4 and 5

def _pers(site: Site) -> None:
    image(site, "pers", 'TYPE=DATABLOCK\nSOURCE="one/one-900"\nSIZE=8\nFORMAT=raw\nPERSISTENT=YES\n')


@case("vm/vm-create-3", before=_pers, noise=("img-READY", "imgarg-READY", "api-one.image.allocate"))
def create_third(site: Site) -> None:
    site.wait_vm(allocate(site, "f3", disk(site, "cp2") + disk(site, "pers")), *RUNNING)


@case("errors/err-tm-postmigrate", before=failing("tm-postmigrate"))
def postmigrate_fails(site: Site) -> None:
    migrate(site, "f3", 2, True, RUNNING)
    assert place(site, "f3")[0] == "rechost2"
    site.answer("tm-postmigrate", None)


@case("vm/vm-recover-delete-running")
def recover_delete_running(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f3"], 3)
    site.wait_vm(site.ids["f3"], 6)
    assert site.image_state(site.ids["pers"]) == "ERROR"
    _cleaned(site, 3)


@case("ds/img-enable-after-error")
def enable_after_error(site: Site) -> None:
    site.must("one.image.enable", site.ids["pers"], True)
    assert site.image_state(site.ids["pers"]) == "READY"


@case("vm/vm-create-4")
def create_fourth(site: Site) -> None:
    site.wait_vm(allocate(site, "f4", disk(site, "cp2") + disk(site, "pers")), *RUNNING)


@case("vm/vm-recover-deletedb")
def recover_delete_db(site: Site) -> None:
    site.must("one.vm.recover", site.ids["f4"], 5)
    site.wait_vm(site.ids["f4"], 6)
    assert site.image_state(site.ids["pers"]) == "READY"


@case("ds/img-enable-after-deletedb")
def enable_after_delete_db(site: Site) -> None:
    assert site.must("one.image.enable", site.ids["pers"], True) == site.ids["pers"]


# VM 6 and 7: on hold

@case("vm/vm-hold")
def hold(site: Site) -> None:
    site.wait_vm(allocate(site, "h1", disk(site, "cp2") + disk(site, "pers"), hold=True), 2)


@case("errors/err-vm-pers-inuse")
def persistent_taken(site: Site) -> None:
    text = f"NAME=second\nCPU=0.1\nMEMORY=64\n{disk(site, 'cp2')}{disk(site, 'pers')}"
    refused(site, "one.vm.allocate", text, False, code=8192,
            text=f"DISK 1: Cannot acquire image {site.ids['pers']}, it is persistent and already in use")


@case("vm/vm-terminate-held")
def terminate_held(site: Site) -> None:
    act(site, "h1", "terminate-hard", 6)
    assert site.image_state(site.ids["pers"]) == "READY"


@case("vm/vm-hold2")
def hold_again(site: Site) -> None:
    site.wait_vm(allocate(site, "h2", disk(site, "cp2") + disk(site, "pers"), hold=True), 2)


@case("vm/vm-release")
def release(site: Site) -> None:
    act(site, "h2", "release", *RUNNING)


@case("vm/vm-host-offline")
def host_offline(site: Site) -> None:
    assert site.must("one.host.status", 1, 2) == 1
    assert site.vm_state(site.ids["h2"]) == RUNNING


@case("vm/vm-recover-recreate-hostdown")
def recreate_without_host(site: Site) -> None:
    site.must("one.vm.recover", site.ids["h2"], 4)
    site.wait_vm(site.ids["h2"], 1)


@case("vm/vm-host-back")
def host_back(site: Site) -> None:
    """The recorded VM had been moved out of the scheduler's way: so is this one."""
    site.must("one.vm.action", "hold", site.ids["h2"])
    site.settle()
    site.take_events()
    assert site.must("one.host.status", 1, 0) == 1


def _run_again(site: Site) -> None:
    act(site, "h2", "release", *RUNNING)


@case("vm/vm-terminate-hard", before=_run_again)
def terminate_hard(site: Site) -> None:
    act(site, "h2", "terminate-hard", 6)


@case("vm/vm-host-unknown")
def host_offline_without_vms(site: Site) -> None:
    """Recorded under this name, but no VM was left on the host."""
    assert site.must("one.host.status", 1, 2) == 1
