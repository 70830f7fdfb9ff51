"""Cases on datastores: creation, every kind of update, deletion."""
from __future__ import annotations

from typing import Any

from contract_cases import case
from contract_cases_ds import refused
from contract_site import IMAGE_DS, SYSTEM_DS, Site, until


def _ds(site: Site, text: str) -> list[Any]:
    return site.call("one.datastore.allocate", text, -1)


@case("ds/ds-create-ok")
def create(site: Site) -> None:
    site.ids["new_ds"] = site.must(
        "one.datastore.allocate", 'NAME=nds\nDS_MAD=recorder\nTM_MAD=recorder\nDISK_TYPE=RBD\nBRIDGE_LIST="x"\n', -1)
    assert site.ids["new_ds"] == 105


@case("ds/ds-delete")
def delete(site: Site) -> None:
    assert site.must("one.datastore.delete", 105) == 105


def _bad_ds(name: str, text: str, wanted: str, noise: tuple[str, ...] = ()) -> None:
    @case(f"ds/{name}", noise=noise)
    def play(site: Site) -> None:
        assert _ds(site, text) == [False, f"[one.datastore.allocate] {wanted}", 8192, -1, -1]


_bad_ds("ds-create-missing-required", "NAME=b1\nDS_MAD=recorder\nTM_MAD=recorder\n",
        'Datastore template is missing the "DISK_TYPE" attribute or it\'s empty.', ("api-one.datastore.update",))
_bad_ds("ds-create-notm", 'NAME=b2\nDS_MAD=recorder\nDISK_TYPE=RBD\nBRIDGE_LIST="x"\n', "No TM_MAD in template.")
_bad_ds("ds-create-sys-dsmad", "NAME=b3\nTYPE=SYSTEM_DS\nDS_MAD=recorder\nTM_MAD=recorder\n",
        "SYSTEM datastores cannot have DS_MAD defined.")
_bad_ds("ds-create-unknown-mad", "NAME=b4\nDS_MAD=nosuch\nTM_MAD=recorder\n",
        'DS_MAD named "nosuch" is not defined in oned.conf')


@case("ds/ds-disable-img", noise=("api-one.datastore.enable",))
def disable_image_ds(site: Site) -> None:
    refused(site, "one.datastore.enable", 102, False, code=8192, text="Only SYSTEM_DS can be disabled or enabled")


@case("ds/ds-disable-sys")
def disable_system_ds(site: Site) -> None:
    assert site.must("one.datastore.enable", 103, False) == 103
    assert site.xml("datastore", 103).findtext("STATE") == "1"


def ds_attribute(site: Site, oid: int, name: str) -> str | None:
    """An attribute of a datastore, None when absent or empty."""
    return site.xml("datastore", oid).findtext(f"TEMPLATE/{name}") or None


def _update(site: Site, text: str, way: int = 1, oid: int = 102) -> list[Any]:
    return site.call("one.datastore.update", oid, text, way)


@case("ds/ds-update-append", before=lambda site: site.must("one.datastore.enable", 103, True))
def ds_append(site: Site) -> None:
    answer = _update(site, 'DR_MODE="journal"\nDR_NOTE="a <b> ]]> x"\n')
    assert answer == [False, "[one.datastore.update] Cannot update template. Parse error.", 8192, -1, -1]
    assert ds_attribute(site, 102, "DR_MODE") == "snapshot"


@case("ds/ds-update-append-xml")
def ds_append_xml(site: Site) -> None:
    assert _update(site, "<TEMPLATE><DR_X><![CDATA[val <1> &]]></DR_X></TEMPLATE>")[0]
    assert ds_attribute(site, 102, "DR_X") == "val <1> &"


@case("ds/ds-update-bad")
def ds_unterminated(site: Site) -> None:
    assert _update(site, 'DR_BAD="open\n')[0]
    assert ds_attribute(site, 102, "DR_BAD") == '"open'


@case("ds/ds-update-empty-value")
def ds_empty(site: Site) -> None:
    assert _update(site, 'DR_PEER=""\n')[0]
    assert ds_attribute(site, 102, "DR_PEER") is None


@case("ds/ds-update-disktype", noise=("api-one.datastore.update",))
def ds_disk_type(site: Site) -> None:
    assert _update(site, "DISK_TYPE=FILE\n")[0]
    assert ds_attribute(site, 102, "DISK_TYPE") == "FILE"


@case("ds/ds-update-missing-required", before=lambda site: _update(site, "DISK_TYPE=RBD\n") and None)
def ds_required(site: Site) -> None:
    text = 'Cannot update template. Datastore template is missing the "DISK_TYPE" attribute or it\'s empty.'
    refused(site, "one.datastore.update", 102, "DR_MODE=snapshot\n", 0, text=text, code=8192)
    assert ds_attribute(site, 102, "DISK_TYPE") == "RBD"


@case("ds/ds-update-replace")
def ds_replace(site: Site) -> None:
    assert _update(site, 'DISK_TYPE=RBD\nBRIDGE_LIST="127.0.0.1"\nPOOL_NAME=one\nDR_MODE=snapshot\nCEPH_USER=libvirt\n'
                         'CEPH_HOST="mon1 mon2:6790"\nCEPH_SECRET="11111111-2222-3333-4444-555555555555"\n', 0)[0]
    names = {child.tag for child in site.xml("datastore", 102).find("TEMPLATE")}
    assert names == {"BRIDGE_LIST", "CEPH_HOST", "CEPH_SECRET", "CEPH_USER", "DISK_TYPE", "DR_MODE", "DS_MAD",
                     "POOL_NAME", "TM_MAD", "TYPE"}


@case("ds/ds-update-unknown-mad", noise=("api-one.datastore.update",))
def ds_unknown_tm(site: Site) -> None:
    refused(site, "one.datastore.update", 102, "TM_MAD=nosuch\n", 1, code=8192,
            text='Cannot update template. TM_MAD named "nosuch" is not defined in oned.conf')
    assert ds_attribute(site, 102, "TM_MAD") == "recorder"


@case("ds/ds-update-tmmad-img", noise=("api-one.datastore.update",))
def ds_other_tm(site: Site) -> None:
    assert _update(site, "TM_MAD=ceph_dr\n")[0]
    assert (ds_attribute(site, 102, "TM_MAD"), ds_attribute(site, 102, "CLONE_TARGET")) == ("ceph_dr", "SELF")


@case("ds/ds-update-tmmad-img-back")
def ds_old_tm(site: Site) -> None:
    """TM_MAD in the text brings back what the replacement had wiped."""
    assert _update(site, "TM_MAD=recorder\n")[0]
    assert (ds_attribute(site, 102, "TM_MAD"), ds_attribute(site, 102, "CLONE_TARGET")) == ("recorder", "SELF")


@case("ds/ds-update-tmmad-sys")
def ds_system_tm(site: Site) -> None:
    assert _update(site, "TM_MAD=ceph_dr\n", oid=103)[0]
    assert ds_attribute(site, 103, "TM_MAD") == "ceph_dr"


def restore_datastores(site: Site) -> None:
    """Bring datastores and hosts back to what they were."""
    site.must("one.host.status", 1, 0)
    site.must("one.datastore.update", 103, _without_name(SYSTEM_DS), 1)
    site.must("one.datastore.update", 102, _without_name(IMAGE_DS) + 'RESTRICTED_DIRS="/"\nSAFE_DIRS="/var/tmp"\n', 0)
    for oid in (102, 103):
        until(f"datastore {oid} monitored", lambda oid=oid: site.xml("datastore", oid).findtext("FREE_MB") == "10760")


def _without_name(text: str) -> str:
    return text.partition("\n")[2]


@case("ds/ds-update-dsmad-img", before=restore_datastores)
def ds_other_ds_mad(site: Site) -> None:
    assert _update(site, "DS_MAD=ceph_dr\n")[0]
    assert ds_attribute(site, 102, "DS_MAD") == "ceph_dr"
    site.must("one.datastore.info", 102)
