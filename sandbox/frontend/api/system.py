"""Calls about the installation: clusters, zones, access rules, version, configuration; the empty pools."""
from __future__ import annotations

from typing import Any

from sandbox.frontend import VERSION
from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.clusters import Cluster, Zone
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.hosts import Host
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vnets import VNet

# The rules oned has after installation.
_RULES = (("@1", "VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP+BACKUPJOB/*", "CREATE", "*"),
          ("*", "ZONE/*", "USE", "*"), ("@1", "NET+HOST+DATASTORE/*", "USE", "#0"))
# Pools whose objects the stand-in does not have.
_EMPTY_POOLS = {"template": "VMTEMPLATE", "vmgroup": "VM_GROUP", "vdc": "VDC", "marketapp": "MARKETPLACEAPP"}


def _fill(frontend: Frontend, obj: PoolObject) -> None:
    """Members of a cluster."""
    if isinstance(obj, Cluster):
        obj.hosts = [host.oid for host in frontend.store.all(Host) if host.cluster_id == obj.oid]
        obj.datastores = [one.oid for one in frontend.store.all(Datastore) if obj.oid in one.clusters]
        obj.vnets = [one.oid for one in frontend.store.all(VNet) if obj.oid in one.clusters]


shared_calls.add_info("cluster", Cluster, _fill)
shared_calls.add_info("zone", Zone)
shared_calls.add_plain_pool("zone", Zone)


@api("one.clusterpool.info")
def clusters(frontend: Frontend, who: Caller) -> str:
    """The clusters."""
    found = frontend.store.all(Cluster)
    for one in found:
        _fill(frontend, one)
    return f"<CLUSTER_POOL>{''.join(one.to_xml() for one in found)}</CLUSTER_POOL>"


@api("one.system.version")
def version(frontend: Frontend, who: Caller) -> str:
    """The release this stands in for."""
    return VERSION


@api("one.system.config")
def config(frontend: Frontend, who: Caller) -> str:
    """oned.conf as XML; oneadmin only."""
    who.demand_admin("USE", "SYSTEM")
    return frontend.config.to_xml()


@api("one.acl.info")
def rules(frontend: Frontend, who: Caller) -> str:
    """The default access rules as text; the numbers, which oned makes of bits, are left 0."""
    items = "".join(f"<ACL><ID>{place}</ID><USER>0</USER><RESOURCE>0</RESOURCE><RIGHTS>0</RIGHTS>"
                    f"<ZONE>0</ZONE><STRING>{' '.join(rule)}</STRING></ACL>"
                    for place, rule in enumerate(_RULES))
    return f"<ACL_POOL>{items}</ACL_POOL>"


def _add_empty_pool(name: str, root: str) -> None:
    @api(f"one.{name}pool.info", "?iii")
    def pool(frontend: Frontend, who: Caller, *_: Any) -> str:
        return f"<{root}_POOL></{root}_POOL>"


for _name, _root in _EMPTY_POOLS.items():
    _add_empty_pool(_name, _root)
