"""Text of the configuration files of a new front-end tree, in oned's own grammar."""
from __future__ import annotations

_TM_SHARED = 'LN_TARGET="NONE", CLONE_TARGET="SYSTEM", SHARED="YES", DS_MIGRATE="YES"'

_LIMITS = ["INBOUND_AVG_BW", "INBOUND_PEAK_BW", "INBOUND_PEAK_KB", "OUTBOUND_AVG_BW", "OUTBOUND_PEAK_BW",
           "OUTBOUND_PEAK_KB"]
_IO = [f"{way}_{unit}_SEC{end}" for unit in ("BYTES", "IOPS") for way in ("TOTAL", "READ", "WRITE")
       for end in ("", "_MAX_LENGTH", "_MAX")]
_FILTERS = ["FILTER", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING"]
# What oned.conf of 7.4.0 restricts, vector by vector; attributes that are no vectors are listed under "".
_VM_RESTRICTED = {
    "CONTEXT": ["FILES"],
    "NIC": ["MAC", "VLAN_ID", "BRIDGE", *_FILTERS, *_LIMITS, "OPENNEBULA_MANAGED", "EXTERNAL",
            "VLAN_TAGGED_ID"],
    "NIC_ALIAS": ["MAC", "VLAN_ID", "BRIDGE", *_LIMITS, "OPENNEBULA_MANAGED"],
    "NIC_DEFAULT": ["MAC", "VLAN_ID", "BRIDGE", "FILTER", "EXTERNAL"],
    "DISK": [*_IO, "SIZE_IOPS_SEC", "OPENNEBULA_MANAGED", "ORIGINAL_SIZE", "SIZE_PREV"],
    "": ["DEPLOY_ID", "CPU_COST", "MEMORY_COST", "DISK_COST", "PCI", "EMULATOR", "USER_PRIORITY"],
    "RAW": ["DATA"],
    "USER_INPUTS": ["CPU", "MEMORY", "VCPU"],
    "TOPOLOGY": ["PIN_POLICY", "HUGEPAGE_SIZE"],
}
_VNET_RESTRICTED = {
    "": ["VN_MAD", "PHYDEV", "QINQ_TYPE", "BRIDGE", "CONF", "BRIDGE_CONF", "OVS_BRIDGE_CONF", "IP_LINK_CONF",
         *_FILTERS, "CLUSTER_IDS", "EXTERNAL"],
    "AR": ["VN_MAD", "PHYDEV", "BRIDGE", *_FILTERS],
}
_OPERATIONS = {"": ["VM_USE_OPERATIONS", "VM_MANAGE_OPERATIONS", "VM_ADMIN_OPERATIONS"]}
_INHERITED_OF_NETWORKS = [
    "VLAN_TAGGED_ID", *_FILTERS, "MTU", "METRIC", "IP6_METRIC", "METHOD", "IP6_METHOD", *_LIMITS, "CONF",
    "BRIDGE_CONF", "OVS_BRIDGE_CONF", "IP_LINK_CONF", "EXTERNAL_IP", "GATEWAY", "DNS", "VXLAN_MODE",
    "VXLAN_TEP", "VXLAN_MC", "CVLANS", "QINQ_TYPE", "TRUST", "SPOOFCHK"]


def _repeated(attribute: str, values: list[str]) -> str:
    return "\n".join(f'{attribute} = "{value}"' for value in values)


def _restricted() -> str:
    kinds = {"VM": _VM_RESTRICTED, "IMAGE": {"": ["SOURCE"]}, "VNET": _VNET_RESTRICTED, "USER": _OPERATIONS,
             "GROUP": _OPERATIONS}
    return "\n\n".join(
        _repeated(f"{kind}_RESTRICTED_ATTR", [f"{outer}/{name}".lstrip("/") for outer in vectors
                                              for name in vectors[outer]])
        for kind, vectors in kinds.items())


ONED_CONF = f"""\
# Front-end of a OneDR sandbox. The grammar is oned's; to add a driver, edit the lists and add *_CONF lines.

HOSTNAME = "127.0.0.1"
MANAGER_TIMER = 15
MONITORING_INTERVAL_DATASTORE = 20

# Known to the stand-in only: how often it polls the guests.
SANDBOX_POLL_SECONDS = 5

DB = [ BACKEND = "sqlite" ]
VNC_PORTS = [ START = 5900, RESERVED = "32768:65536" ]
DEFAULT_DEVICE_PREFIX = "sd"
DEFAULT_CDROM_DEVICE_PREFIX = "hd"
DEFAULT_IMAGE_TYPE = "OS"
SCHED_MAX_WND_TIME = 10

IM_MAD = [
    NAME       = "kvm",
    EXECUTABLE = "one_im_ssh",
    ARGUMENTS  = "-r 3 -t 15 -w 90 kvm" ]

IM_MAD = [
    NAME       = "dummy",
    EXECUTABLE = "one_im_sh",
    ARGUMENTS  = "-r 3 -t 15 -w 90 dummy" ]

# Guests of the sandbox: qemu without KVM, one process each.
IM_MAD = [
    NAME       = "sandbox",
    EXECUTABLE = "one_im_sh",
    ARGUMENTS  = "-r 3 -t 15 -w 90 dummy" ]

VM_MAD = [
    NAME          = "sandbox",
    SUNSTONE_NAME = "Sandbox",
    EXECUTABLE    = "one_vmm_exec",
    ARGUMENTS     = "-t 15 -r 0 -p sandbox",
    TYPE          = "kvm" ]

VM_MAD = [
    NAME       = "kvm",
    EXECUTABLE = "one_vmm_exec",
    ARGUMENTS  = "-t 15 -r 0 kvm",
    TYPE       = "kvm" ]

VM_MAD = [
    NAME       = "dummy",
    EXECUTABLE = "one_vmm_dummy",
    TYPE       = "xml" ]

TM_MAD = [
    EXECUTABLE = "one_tm",
    ARGUMENTS = "-t 15 -d dummy,shared,ssh,ceph"
]

DATASTORE_MAD = [
    EXECUTABLE = "one_datastore",
    ARGUMENTS  = "-t 15 -d dummy,fs,ceph -s shared,ssh,ceph"
]

HM_MAD = [
    EXECUTABLE = "one_hm",
    ARGUMENTS = "-p 2101 -l 2102 -b 127.0.0.1" ]

HOOK_LOG_CONF = [
    LOG_RETENTION = 20 ]

DEFAULT_UMASK = 177

TM_MAD_CONF = [
    NAME = "dummy", {_TM_SHARED}
]

TM_MAD_CONF = [
    NAME = "shared", {_TM_SHARED}
]

TM_MAD_CONF = [
    NAME = "ssh", LN_TARGET = "SYSTEM", CLONE_TARGET = "SYSTEM", SHARED = "NO", DS_MIGRATE = "YES",
    ALLOW_ORPHANS = "YES"
]

TM_MAD_CONF = [
    NAME = "ceph", LN_TARGET = "NONE", CLONE_TARGET = "SELF", SHARED = "YES",
    DS_MIGRATE = "NO", DRIVER = "raw", ALLOW_ORPHANS = "mixed",
    TM_MAD_SYSTEM = "ssh", LN_TARGET_SSH = "SYSTEM", CLONE_TARGET_SSH = "SYSTEM", DISK_TYPE_SSH = "FILE",
    DS_LIVE_MIGRATE = "NO", DS_MIGRATE_SNAP = "NO"
]

DS_MAD_CONF = [
    NAME = "dummy", REQUIRED_ATTRS = "", PERSISTENT_ONLY = "NO"
]

DS_MAD_CONF = [
    NAME = "fs", REQUIRED_ATTRS = "", PERSISTENT_ONLY = "NO", MARKETPLACE_ACTIONS = "export"
]

DS_MAD_CONF = [
    NAME = "ceph", REQUIRED_ATTRS = "DISK_TYPE,BRIDGE_LIST", PERSISTENT_ONLY = "NO",
    MARKETPLACE_ACTIONS = "export"
]

DATASTORE_ENCRYPTED_ATTR = "RESTIC_PASSWORD"

{_restricted()}
INHERIT_IMAGE_ATTR = "DISK_TYPE"
INHERIT_IMAGE_ATTR = "SERIAL"

INHERIT_DATASTORE_ATTR = "CEPH_HOST"
INHERIT_DATASTORE_ATTR = "CEPH_SECRET"
INHERIT_DATASTORE_ATTR = "CEPH_KEY"
INHERIT_DATASTORE_ATTR = "CEPH_USER"
INHERIT_DATASTORE_ATTR = "CEPH_CONF"
INHERIT_DATASTORE_ATTR = "CEPH_TRASH"
INHERIT_DATASTORE_ATTR = "POOL_NAME"
INHERIT_DATASTORE_ATTR = "DISK_TYPE"
INHERIT_DATASTORE_ATTR = "ALLOW_ORPHANS"
INHERIT_DATASTORE_ATTR = "QCOW2_STANDALONE"
INHERIT_DATASTORE_ATTR = "SPARSE"
INHERIT_DATASTORE_ATTR = "PERSISTENT_SNAPSHOTS"

{_repeated("INHERIT_VNET_ATTR", _INHERITED_OF_NETWORKS)}
"""

DEFAULTRC = """\
# Priority of the drivers oned starts.
PRIORITY=19
"""

VMM_EXECRC = """\
# Pairs VMM-TM that can snapshot a disk of a running VM.
LIVE_DISK_SNAPSHOTS="kvm-qcow2 kvm-shared kvm-ceph kvm-ssh sandbox-ceph"
"""

CEPH_CONF = """\
# Defaults of the ceph drivers; a datastore's own attributes go first.
POOL_NAME=one
STAGING_DIR=/var/tmp
RBD_FORMAT=2
"""

ONEHEM_CONF = """\
:debug_level: 2
:concurrency: 10
"""
