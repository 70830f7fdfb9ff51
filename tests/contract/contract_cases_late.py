"""Cases recorded after the datastore had been changed: snapshots of an image, another TM driver under a VM."""
from __future__ import annotations

from contract_cases import case
from contract_cases_ds import image
from contract_cases_dsupdate import restore_datastores
from contract_cases_vm import RUNNING, SCHED, act, allocate, attach, disk
from contract_site import Site

DATASTORE = ("/DS_DRIVER_ACTION_DATA/DATASTORE/TEMPLATE",)


def _three_snapshots(site: Site) -> None:
    restore_datastores(site)
    image(site, "snp", "TYPE=DATABLOCK\nSIZE=8\nPERSISTENT=YES\n")
    oid = site.wait_vm(allocate(site, "vsnp", disk(site, "snp")), *RUNNING)
    for name in ("s0", "s1", "s2"):
        site.must("one.vm.disksnapshotcreate", oid, 0, name)
        site.wait_vm(oid, *RUNNING)
    act(site, "vsnp", "terminate", 6)


@case("ds/img-snap-delete-ok", before=_three_snapshots, ignore=DATASTORE,
      noise=("imgarg-READY", "img-READY", "vm-DONE-LCM_INIT"))
def image_delete(site: Site) -> None:
    site.must("one.image.snapshotdelete", site.ids["snp"], 1)
    site.wait_image(site.ids["snp"])


@case("ds/img-snap-flatten-ok", ignore=DATASTORE)
def image_flatten_one(site: Site) -> None:
    site.must("one.image.snapshotflatten", site.ids["snp"], 0)
    site.wait_image(site.ids["snp"])


# A datastore that changes its TM driver under a VM

def _switch(site: Site) -> None:
    image(site, "swp", 'TYPE=DATABLOCK\nSOURCE="one/one-950"\nSIZE=8\nFORMAT=raw\nPERSISTENT=YES\n')
    disks = disk(site, "cp1") + f"DISK=[IMAGE_ID={site.ids['swp']}]\n"
    site.ids["swvm"] = site.must("one.vm.allocate", f"NAME=swvm\nCPU=0.1\nMEMORY=32\n{disks}{SCHED}", False)
    site.wait_vm(site.ids["swvm"], *RUNNING)
    site.must("one.datastore.update", 102, "TM_MAD=ceph_dr\n", 1)


@case("ds/ds-tm-switch-poweroff", before=_switch,
      noise=("vm-ACTIVE-RUNNING", "api-one.datastore.update", "api-one.datastore.update"))
def switched_poweroff(site: Site) -> None:
    act(site, "swvm", "poweroff", 8)


@case("ds/ds-tm-switch-resume")
def switched_resume(site: Site) -> None:
    act(site, "swvm", "resume", *RUNNING)


@case("ds/ds-tm-switch-attach")
def switched_attach(site: Site) -> None:
    attach(site, "swvm", f"DISK=[IMAGE_ID={site.ids['cp2']}]\n", *RUNNING)
    mads = [one.findtext("TM_MAD") for one in site.xml("vm", site.ids["swvm"]).findall("TEMPLATE/DISK")]
    assert mads == ["recorder", "recorder", "ceph_dr"]


@case("ds/ds-tm-switch-terminate", before=lambda site: allocate(site, "holder", disk(site, "cp2"), hold=True) and None)
def switched_terminate(site: Site) -> None:
    act(site, "swvm", "terminate-hard", 6)
