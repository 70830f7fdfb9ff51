"""Calls on what hardly changes here: clusters, zones, security groups, rules, the system itself."""
from __future__ import annotations

from typing import Any

from sandbox.frontend import shared_calls
from sandbox.frontend.calls import api, not_supported
from sandbox.frontend.clusters import Cluster, SecurityGroup, Zone
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import Datastore
from sandbox.frontend.hosts import Host
from sandbox.frontend.objects import PoolObject
from sandbox.frontend.users import Caller
from sandbox.frontend.vnets import VNet

VERSION = "7.4.0"
# The rules oned has after installation.
_RULES = (("@1", "VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP+BACKUPJOB/*", "CREATE", "*"),
          ("*", "ZONE/*", "USE", "*"), ("@1", "NET+HOST+DATASTORE/*", "USE", "#0"))
_EMPTY_POOLS = {"marketapp": "MARKETPLACEAPP", "market": "MARKETPLACE", "vmgroup": "VM_GROUP",
                "vntemplate": "VNTEMPLATE", "vrouter": "VROUTER", "backupjob": "BACKUPJOB", "vdc": "VDC"}


def _fill(frontend: Frontend, obj: PoolObject) -> None:
    """Members of a cluster."""
    if isinstance(obj, Cluster):
        obj.hosts = [host.oid for host in frontend.store.all(Host) if host.cluster_id == obj.oid]
        obj.datastores = [one.oid for one in frontend.store.all(Datastore) if obj.oid in one.clusters]
        obj.vnets = [one.oid for one in frontend.store.all(VNet) if obj.oid in one.clusters]


shared_calls.add_info("cluster", Cluster, _fill)
shared_calls.add_info("zone", Zone)
shared_calls.add_plain_pool("zone", Zone)
shared_calls.add_info("secgroup", SecurityGroup)
shared_calls.add_pool("secgroup", SecurityGroup)
shared_calls.add_update("cluster", Cluster)
for _name in ("allocate", "delete", "addhost", "delhost", "adddatastore", "deldatastore", "addvnet", "delvnet",
              "rename", "optimize"):
    not_supported(f"one.cluster.{_name}")
for _name in ("allocate", "delete", "update", "clone", "commit", "rename", "chown", "chmod"):
    not_supported(f"one.secgroup.{_name}")
for _name in ("acl.addrule", "acl.delrule", "zone.raftstatus", "zone.allocate", "marketapp.allocate",
              "vntemplate.allocate", "vrouter.allocate", "vmgroup.allocate", "backupjob.allocate", "vdc.allocate"):
    not_supported(f"one.{_name}")


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
    """The default rules as text; numbers are made up of bits in oned, and nobody here reads them."""
    items = "".join(f"<ACL><ID>{place}</ID><USER>0</USER><RESOURCE>0</RESOURCE><RIGHTS>0</RIGHTS><ZONE>0</ZONE>"
                    f"<STRING>{' '.join(rule)}</STRING></ACL>" for place, rule in enumerate(_RULES))
    return f"<ACL_POOL>{items}</ACL_POOL>"


def _add_empty_pool(name: str, root: str) -> None:
    @api(f"one.{name}pool.info", "?iii")
    def pool(frontend: Frontend, who: Caller, *_: Any) -> str:
        return f"<{root}_POOL></{root}_POOL>"


for _name, _root in _EMPTY_POOLS.items():
    _add_empty_pool(_name, _root)
