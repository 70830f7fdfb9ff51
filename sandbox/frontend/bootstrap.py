"""The objects that a front-end has from its first start, and the kinds of objects there are."""
from __future__ import annotations

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.clusters import Cluster, Zone
from sandbox.frontend.objects.datastores import Datastore, create
from sandbox.frontend.objects.documents import Document
from sandbox.frontend.objects.errors import ApiError
from sandbox.frontend.objects.hooks import Hook
from sandbox.frontend.objects.hosts import Host
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.security_groups import SecurityGroup
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import Group, User, digest, first_template
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import VNet

KINDS: list[type[PoolObject]] = [User, Group, Host, Cluster, Zone, SecurityGroup, Datastore, Image, VM,
                                 VNet, Document, Hook]
_DEFAULT_GROUP = (
    "The default security group is added to every network. Use it to add default filter rules for your"
    " networks. You may remove this security group from any network by updating its properties.")
_SHARED = [1, 1, 0, 1, 0, 0, 0, 0, 0]


def bootstrap(frontend: Frontend) -> None:
    """Make the first objects unless they are there."""
    store = frontend.store
    if store.find(User, 0) is not None:
        return
    name, _, password = (frontend.var / ".one" / "one_auth").read_text().strip().partition(":")
    store.put(Group(0, name="oneadmin", users=[0]))
    store.put(Group(1, name="users"))
    store.put(User(store.next_id("user"), gid=0, name=name, password=digest(password), groups=[0],
                   template=first_template()))
    store.put(Cluster(0, name="default", template=Template.of(RESERVED_CPU="", RESERVED_MEM="")))
    store.put(Zone(0, name="OpenNebula", template=Template.of(ENDPOINT=frontend.endpoint)))
    rules = [{"PROTOCOL": "ALL", "RULE_TYPE": way} for way in ("OUTBOUND", "INBOUND")]
    store.put(SecurityGroup(0, name="default", permissions=[1, 1, 1, 1, 0, 0, 1, 0, 0],
                            template=Template.of(DESCRIPTION=_DEFAULT_GROUP, RULE=rules)))
    for oid, (title, attributes) in enumerate(_DATASTORES):
        _datastore(frontend, oid, title, attributes)


_DATASTORES = (
    ("system", {"TYPE": "SYSTEM_DS", "TM_MAD": "shared"}),
    ("default", {"TYPE": "IMAGE_DS", "TM_MAD": "shared", "DS_MAD": "fs"}),
    ("files", {"TYPE": "FILE_DS", "TM_MAD": "shared", "DS_MAD": "fs"}),
)


def _datastore(frontend: Frontend, oid: int, name: str, attributes: dict[str, str]) -> None:
    made = Datastore(oid, name=name, permissions=list(_SHARED), clusters=[0])
    template = Template.of(**attributes)
    try:
        create(made, template, frontend.config, str(frontend.datastores_path))
    except ApiError:
        # In a tree without these drivers the datastores exist all the same, so that later ids do not change.
        made.template, made.tm_mad = template, attributes["TM_MAD"]
        made.ds_mad = attributes.get("DS_MAD", "-")
        made.base_path = f"{frontend.datastores_path}/{oid}"
    frontend.store.put(made)
