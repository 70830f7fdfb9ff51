"""What becomes of every attribute that OpenNebula puts into a VM or an image, when it is recreated elsewhere.

Data only. docs/fidelity.md is made from it. The lists follow the VM and image template references of
OpenNebula 6.10 to 7.4 and the attributes that oned itself adds (docs/opennebula-facts.md). What is not listed
is left out of the VM and said: it stays in the record.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

GROUP_NAMES = "SECURITY_GROUP_NAMES"  # added to a recorded NIC: the groups' names, in the order of their ids


class Treatment(str, Enum):
    """What becomes of an attribute."""

    KEPT = "kept"
    MAPPED = "mapped"
    REGENERATED = "made by oned"
    LEFT_OUT = "left out"  # and said, for each VM that has it
    NETWORK = "the network's"  # the network here decides where it says something; else kept


class Rule(NamedTuple):
    """`why`: by what it is mapped, or why it is left out; for people."""

    treatment: Treatment
    why: str = ""


_KEPT, _MADE = Rule(Treatment.KEPT), Rule(Treatment.REGENERATED)
_NETWORK = Rule(Treatment.NETWORK)
UNKNOWN = Rule(Treatment.LEFT_OUT, "this release of OneDR does not know it")


def _all(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


def _mapped(why: str) -> Rule:
    return Rule(Treatment.MAPPED, why)


def _left_out(why: str) -> Rule:
    return Rule(Treatment.LEFT_OUT, why)


VM: Mapping[str, Rule] = {
    **_all(
        _KEPT,
        "CPU VCPU MEMORY VCPU_MAX MEMORY_MAX MEMORY_SLOTS MEMORY_RESIZE_MODE CPU_COST MEMORY_COST DISK_COST "
        "EMULATOR FEATURES CPU_MODEL INPUT RAW VIDEO HYPERV_OPTIONS SPICE_OPTIONS TOPOLOGY NIC_DEFAULT IOMMU "
        "MEMORY_ENCRYPTION",
    ),
    "OS": _mapped(
        "BOOT follows the disks and NICs; files by their image's name and owner, or the mapping; what is a "
        "file of the hosts is said"
    ),
    "DISK": _mapped("the image of the same data here; new ids, in order"),
    "NIC": _mapped("the network of the mapping, DR_NETWORK_MAP or the same name"),
    "NIC_ALIAS": _mapped("the network of the mapping, DR_NETWORK_MAP or the same name; on the same NIC"),
    "CONTEXT": _mapped(
        "values as oned had resolved them; FILES_DS by the names of its images or the mapping, the VM "
        "owner's or oneadmin's; a missing one, and FILES, is left out, which is said"
    ),
    "GRAPHICS": _mapped("PORT is chosen by oned"),
    "NUMA_NODE": _mapped("in MiB, of a pinned topology; oned makes the others"),
    "TPM": _mapped("the device is there and empty: its state is a file of the host"),
    "PCI": _mapped("by vendor, device, class and profile, on a host here that has one"),
    "VMGROUP": _mapped("the VM group of the mapping or of the same name, with the same role"),
    "SCHED_ACTION": _mapped(
        "those that are still to come; ARGS follow the disks; backups, and reverting or deleting system "
        "snapshots, are left out, which is said"
    ),
    "BACKUP_CONFIG": _mapped("the settings; what earlier backups left stays behind"),
    **_all(
        _MADE,
        "AUTOMATIC_REQUIREMENTS AUTOMATIC_DS_REQUIREMENTS AUTOMATIC_NIC_REQUIREMENTS VMID TEMPLATE_ID "
        "TM_MAD_SYSTEM SECURITY_GROUP_RULE CREATED_BY SUBMIT_ON_HOLD QEMU_GA_EXEC VNET_UPDATE DEPLOY_ID NAME "
        "IMPORTED",
    ),
    "CLONING_TEMPLATE_ID": _MADE,
    "SNAPSHOT": _left_out("a system snapshot is a file of the hypervisor's host"),
    "VROUTER_ID": _left_out(
        "a virtual router is an object of one site: the VM comes back as an ordinary one"
    ),
    "VROUTER_KEEPALIVED_ID": _left_out("it belongs to a virtual router"),
    "VROUTER_KEEPALIVED_PASSWORD": _left_out("it belongs to a virtual router"),
}

DISK: Mapping[str, Rule] = {
    **_all(
        _KEPT,
        "TARGET DEV_PREFIX CACHE IO DISCARD READONLY IOTHREAD SERIAL VIRTIO_BLK_QUEUES SIZE_IOPS_SEC "
        "TOTAL_BYTES_SEC TOTAL_BYTES_SEC_MAX TOTAL_BYTES_SEC_MAX_LENGTH TOTAL_IOPS_SEC TOTAL_IOPS_SEC_MAX "
        "TOTAL_IOPS_SEC_MAX_LENGTH READ_BYTES_SEC READ_BYTES_SEC_MAX READ_BYTES_SEC_MAX_LENGTH READ_IOPS_SEC "
        "READ_IOPS_SEC_MAX READ_IOPS_SEC_MAX_LENGTH WRITE_BYTES_SEC WRITE_BYTES_SEC_MAX "
        "WRITE_BYTES_SEC_MAX_LENGTH WRITE_IOPS_SEC WRITE_IOPS_SEC_MAX WRITE_IOPS_SEC_MAX_LENGTH "
        "ALLOW_ORPHANS MOUNT_POINT MOUNT_TAG",
    ),
    **_all(_mapped("the image that holds the disk here"), "IMAGE IMAGE_ID IMAGE_UNAME IMAGE_UID SOURCE"),
    **_all(
        _MADE,
        "DISK_ID CLONE CLONING CLONE_TARGET LN_TARGET CLUSTER_ID DATASTORE DATASTORE_ID "
        "DISK_SNAPSHOT_TOTAL_SIZE "
        "DISK_TYPE DRIVER FORMAT IMAGE_STATE IMAGE_TYPE ORIGINAL_SIZE PERSISTENT POOL_NAME SAVE SIZE "
        "SIZE_PREV TM_MAD "
        "TM_MAD_SYSTEM TYPE FS OPENNEBULA_MANAGED CEPH_CONF CEPH_HOST CEPH_KEY CEPH_SECRET CEPH_USER "
        "CEPH_TRASH MONITOR DEV_ID PATH UUID QCOW2_STANDALONE SPARSE PERSISTENT_SNAPSHOTS DR_PROTECT "
        "SHAREABLE ORDER",
    ),
    "LUKS_SECRET": _left_out("the secret lives in libvirt of the other site's hosts: define it here first"),
}

# A disk without an image: all there is to it.
VOLATILE_DISK: Mapping[str, Rule] = {**DISK, **_all(_KEPT, "TYPE SIZE FORMAT FS")}

# INHERIT_VNET_ATTR of oned.conf and what a network gives besides.
_OF_THE_NETWORK = (
    "VLAN_TAGGED_ID FILTER FILTER_IP_SPOOFING FILTER_MAC_SPOOFING MTU METRIC IP6_METRIC METHOD IP6_METHOD "
    "INBOUND_AVG_BW INBOUND_PEAK_BW INBOUND_PEAK_KB OUTBOUND_AVG_BW OUTBOUND_PEAK_BW OUTBOUND_PEAK_KB CONF "
    "BRIDGE_CONF OVS_BRIDGE_CONF IP_LINK_CONF EXTERNAL_IP AWS_ALLOCATION_ID VULTR_IP_ID GATEWAY GATEWAY6 DNS "
    "VXLAN_MODE VXLAN_TEP VXLAN_MC CVLANS QINQ_TYPE TRUST SPOOFCHK NETWORK_ADDRESS NETWORK_MASK "
    "SEARCH_DOMAIN GUEST_MTU ROUTES CONTEXT_FORCE_IPV4 PREFIX_LENGTH"
)
_RDP = (
    "RDP RDP_AUDIO RDP_DISABLE_AUDIO RDP_DISABLE_BITMAP_CACHING RDP_DISABLE_GLYPH_CACHING "
    "RDP_DISABLE_OFFSCREEN_CACHING RDP_ENABLE_AUDIO_INPUT RDP_ENABLE_DESKTOP_COMPOSITION "
    "RDP_ENABLE_FONT_SMOOTHING RDP_ENABLE_FULL_WINDOW_DRAG RDP_ENABLE_MENU_ANIMATIONS RDP_ENABLE_THEMING "
    "RDP_ENABLE_WALLPAPER RDP_RESIZE_METHOD RDP_SERVER_LAYOUT"
)
NIC: Mapping[str, Rule] = {
    **_all(_KEPT, f"MODEL SSH EXTERNAL VIRTIO_QUEUES SCHED_REQUIREMENTS SCHED_RANK {_RDP}"),
    **_all(_NETWORK, _OF_THE_NETWORK),
    **_all(
        _mapped("by the mapping, DR_NETWORK_MAP or name; by name the VM owner's, else oneadmin's; of a "
                "user's network there that user's here"),
        "NETWORK NETWORK_ID NETWORK_OWNER NETWORK_UNAME NETWORK_UID",
    ),
    **_all(
        _mapped(
            "by the address rules of the mapping; else where the network here holds it; else a new one, said"
        ),
        "IP MAC IP6"
    ),
    **_all(_mapped("by the mapping, DR_SECURITY_GROUP_MAP or name; missing: the VM is left out"),
           "SECURITY_GROUPS SECURITY_GROUP_NAMES"),
    **_all(_mapped("the same NIC; a name that oned gave is replaced by a new one"), "NAME PARENT PARENT_ID"),
    **_all(
        _MADE,
        "AR_ID BRIDGE BRIDGE_TYPE CLUSTER_ID NIC_ID ORDER TARGET VN_MAD PHYDEV VLAN_ID OUTER_VLAN_ID "
        "PARENT_NETWORK_ID ALIAS_ID ALIAS_IDS IP6_GLOBAL IP6_ULA IP6_LINK VROUTER_IP VROUTER_IP6 "
        "VROUTER_IP6_GLOBAL VROUTER_IP6_ULA VROUTER_IP6_LINK AUTOMATIC_VLAN_ID AUTOMATIC_OUTER_VLAN_ID "
        "NETWORK_MODE OPENNEBULA_MANAGED ATTACH CLUSTERS SHARED VROUTER_MAC",
    ),
    **_all(
        _left_out("the address range here forwards ports of its own"),
        "EXTERNAL_PORT_RANGE INTERNAL_PORT_RANGE",
    ),
    "FLOATING_IP": _left_out("it belongs to a virtual router"),
    "FLOATING_ONLY": _left_out("it belongs to a virtual router"),
}

# Attributes a user put on his VM. They are written as data after the VM was created; these differ:
USER_TEMPLATE: Mapping[str, Rule] = {
    **_all(
        _mapped(
            "hosts, clusters and system datastores by the mapping; put aside as DR_ORIGIN_… where one of "
            "them is not in it"
        ),
        "SCHED_REQUIREMENTS SCHED_DS_REQUIREMENTS",
    ),
    **_all(
        _mapped("put aside as DR_ORIGIN_…: a OneFlow service is an object of one site"),
        "SERVICE_ID ROLE_NAME",
    ),
    **_all(_MADE, "ERROR DR_MESSAGE SCHED_MESSAGE DR_STATE DR_RECOVERY_POINT"),
}

# The list of a disk's snapshots (docs/operations.md). The snapshots themselves are on the image.
SNAPSHOTS: Mapping[str, Rule] = {
    **_all(_KEPT, "ID NAME PARENT CHILDREN ACTIVE CURRENT_BASE NEXT_SNAPSHOT"),
    "DISK_ID": _mapped("the disk of the same data here"),
    "DATE": Rule(Treatment.REGENERATED, "the date of the run"),
    "SIZE": Rule(Treatment.REGENERATED, "the disk's size at the run"),
    "ALLOW_ORPHANS": _MADE,
}

IMAGE: Mapping[str, Rule] = {
    **_all(
        _MADE,
        "DR_MESSAGE ERROR PATH MD5 SHA1 FS SOURCE SIZE FORMAT PERSISTENT NAME TYPE DATASTORE_ID TM_MAD "
        "DS_MAD",
    ),
    "FROM_BACKUP_DS": _left_out("the backup datastore is an object of one site"),
    "FROM_APP": _left_out("the marketplace app is an object of one site"),
}


def rule(section: Mapping[str, Rule], name: str, other: Rule = UNKNOWN) -> Rule:
    """What becomes of the attribute `name` of a section; `other` when it is not listed."""
    return section.get(name, other)


def said(section: Mapping[str, Rule], names: Iterable[str], where: str = "") -> list[str]:
    """A sentence for each of these attributes that is left out."""
    left = {name: rule(section, name) for name in names}
    return [
        f"{where}{name} is left out: {found.why}"
        for name, found in left.items()
        if found.treatment is Treatment.LEFT_OUT
    ]
