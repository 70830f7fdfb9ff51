"""The table of what becomes of each attribute: docs/fidelity.md says the same, and recorded VMs are covered by it."""
from __future__ import annotations

from pathlib import Path

import pytest
from samples import recorded

from onedr.opennebula import attributes
from onedr.opennebula.attributes import GROUP_NAMES, Treatment

OF_THE_RECORDING = {"DR_ID", "DR_MODE"}  # that front-end's own INHERIT_DATASTORE_ATTR
PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"
SECTIONS = {
    "VM": attributes.VM, "DISK": attributes.DISK, "NIC, NIC_ALIAS": attributes.NIC,
    "USER_TEMPLATE": attributes.USER_TEMPLATE, "IMAGE": attributes.IMAGE, "SNAPSHOTS": attributes.SNAPSHOTS,
}


# OpenNebula 7.4.0: TEMPLATE of share/doc/xsd/vm.xsd; INHERIT_VNET_ATTR and VM_RESTRICTED_ATTR of oned.conf; what
# AddressRange.cc, VirtualMachineNic.cc and Image.cc put into a NIC and a disk on RBD; 6.10.5 names no others.
OF_ONED = {
    "VM": """AUTOMATIC_DS_REQUIREMENTS AUTOMATIC_NIC_REQUIREMENTS AUTOMATIC_REQUIREMENTS CLONING_TEMPLATE_ID CONTEXT CPU
        CPU_COST CPU_MODEL DISK DISK_COST EMULATOR FEATURES HYPERV_OPTIONS GRAPHICS VIDEO IOMMU IMPORTED INPUT MEMORY
        MEMORY_COST MEMORY_MAX MEMORY_SLOTS MEMORY_RESIZE_MODE NIC NIC_ALIAS NIC_DEFAULT NUMA_NODE OS PCI QEMU_GA_EXEC
        RAW SECURITY_GROUP_RULE SNAPSHOT SPICE_OPTIONS SUBMIT_ON_HOLD TEMPLATE_ID TM_MAD_SYSTEM TOPOLOGY TPM
        MEMORY_ENCRYPTION VCPU VCPU_MAX VMGROUP VMID VROUTER_ID VROUTER_KEEPALIVED_ID VROUTER_KEEPALIVED_PASSWORD
        SCHED_ACTION BACKUP_CONFIG DEPLOY_ID CREATED_BY VNET_UPDATE""",
    "NIC, NIC_ALIAS": """VLAN_TAGGED_ID FILTER FILTER_IP_SPOOFING FILTER_MAC_SPOOFING MTU METRIC IP6_METRIC METHOD IP6_METHOD
        INBOUND_AVG_BW INBOUND_PEAK_BW INBOUND_PEAK_KB OUTBOUND_AVG_BW OUTBOUND_PEAK_BW OUTBOUND_PEAK_KB CONF BRIDGE_CONF
        OVS_BRIDGE_CONF IP_LINK_CONF EXTERNAL_IP AWS_ALLOCATION_ID VULTR_IP_ID GATEWAY DNS VXLAN_MODE VXLAN_TEP VXLAN_MC
        CVLANS QINQ_TYPE TRUST SPOOFCHK MAC VLAN_ID BRIDGE OPENNEBULA_MANAGED EXTERNAL IP IP6 IP6_GLOBAL IP6_ULA IP6_LINK
        AR_ID SHARED EXTERNAL_PORT_RANGE INTERNAL_PORT_RANGE VROUTER_IP VROUTER_MAC ORDER NIC_ID NAME PARENT PARENT_ID
        ALIAS_ID ALIAS_IDS SECURITY_GROUPS MODEL VIRTIO_QUEUES NETWORK_MODE SCHED_REQUIREMENTS SCHED_RANK""",
    "DISK": """CEPH_HOST CEPH_SECRET CEPH_KEY CEPH_USER CEPH_CONF CEPH_TRASH POOL_NAME LUKS_SECRET DISK_TYPE ALLOW_ORPHANS
        QCOW2_STANDALONE SPARSE PERSISTENT_SNAPSHOTS SERIAL MOUNT_POINT MOUNT_TAG SHAREABLE ORDER READONLY CLONE SAVE
        PERSISTENT CLONING TARGET DEV_PREFIX CACHE IO DISCARD IOTHREAD VIRTIO_BLK_QUEUES SIZE_IOPS_SEC ORIGINAL_SIZE
        SIZE_PREV TOTAL_BYTES_SEC READ_BYTES_SEC WRITE_BYTES_SEC TOTAL_IOPS_SEC READ_IOPS_SEC WRITE_IOPS_SEC""",
}


def rows(title: str) -> list[str]:
    """The section of the page, as the table says it: a line for each treatment and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, rule in SECTIONS[title].items():
        groups.setdefault((rule.treatment.value, rule.why), []).append(f"`{name}`")
    return [
        f"- **{treatment}**{f': {why}' if why else ''}. {', '.join(sorted(names))}"
        for (treatment, why), names in groups.items()
    ]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_says_what_the_table_says(title: str) -> None:
    text = " ".join(PAGE.read_text().split())
    for row in rows(title):
        assert row in text


@pytest.mark.parametrize("title", OF_ONED)
def test_every_attribute_that_oned_knows_is_in_the_table(title: str) -> None:
    assert not set(OF_ONED[title].split()) - SECTIONS[title].keys()


def test_every_attribute_of_a_recorded_vm_is_in_the_table() -> None:
    template = recorded("onevm_show_10.xml").find("TEMPLATE")
    assert template is not None
    for element in template:
        assert element.tag in attributes.VM, element.tag
        section = {"DISK": attributes.DISK, "NIC": attributes.NIC, "NIC_ALIAS": attributes.NIC}.get(str(element.tag))
        for inner in element if section is not None else ():
            assert section is not None and inner.tag in {*section, *OF_THE_RECORDING}, f"{element.tag}/{inner.tag}"
    assert GROUP_NAMES in attributes.NIC


def test_what_is_left_out_has_a_reason() -> None:
    for section in SECTIONS.values():
        for name, rule in section.items():
            assert rule.why or rule.treatment not in (Treatment.LEFT_OUT, Treatment.MAPPED), name
