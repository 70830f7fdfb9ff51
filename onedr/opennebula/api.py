"""The front-end's XML-RPC API.

It uses its own client instead of pyone: each call has its own time limit (pyone sets one for the whole
process), a driver starts 0.18 s sooner, and objects stay XML, which is also what drivers and hooks receive.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lxml import etree

from onedr.host import bridge, paths
from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.model.template import Pairs
from onedr.opennebula import xmlrpc

NOT_ALLOWED = 512  # docs/opennebula-facts.md O25; a lock too
NO_SUCH_OBJECT = 1024
NOT_POSSIBLE = 2048
REPLACE = 0
APPEND = 1  # nearly always: replacing removes the attributes that TM_MAD added (docs/opennebula-facts.md O5)
ALL_VMS_NOT_DONE = -1
_EVERYTHING = (-2, -1, -1)  # all owners, all ids


class FrontEnd:
    """A session with oned. Any number of threads may use it.

    Every method raises FrontEndError with oned's own text and code.
    """

    def __init__(self, url: str | None = None, session: str | None = None, limit_s: float = 30):
        self._limit_s = limit_s
        self._front_end = bridge.bridge_session()
        if self._front_end is not None:
            # The peer's front-end too is called by ours, which alone has its password.
            self._service, self.url = ("peer_api", url) if url else ("api", "the front-end")
            return
        self.url = url or paths.endpoint()
        try:
            self._session = session or paths.credentials()
        except OSError as error:
            raise FrontEndError(f"Cannot log in at {self.url}: {error}") from error

    def call(self, method: str, *arguments: Any) -> Any:
        """`one.<method>`: oned's second value (id or XML text)."""
        if self._front_end is not None:
            answer, _ = self._front_end.call(
                self._service, method=method, arguments=arguments, limit_s=self._limit_s
            )
            return answer
        try:
            answer = xmlrpc.call(self.url, f"one.{method}", (self._session, *arguments), self._limit_s)
        except xmlrpc.Fault as error:
            raise FrontEndError(f"[one.{method}] {error.text}", error.code) from error
        except xmlrpc.TransportError as error:
            raise FrontEndError(
                f"The front-end at {self.url} does not answer ({error}). Check that oned is running there."
            ) from error
        if not isinstance(answer, list) or len(answer) < 3:
            raise FrontEndError(
                f"[one.{method}] returned an unexpected response; check that {self.url} is oned's XML-RPC "
                "endpoint."
            )
        if not answer[0]:
            raise FrontEndError(str(answer[1]), int(answer[2]))
        return answer[1]

    def _object(self, method: str, *arguments: Any) -> etree._Element:
        text = self.call(method, *arguments)
        try:
            return template.parse_xml(text)
        except ValueError as error:
            raise FrontEndError(f"[one.{method}] answered {error}") from error

    def _pool(self, method: str, tag: str, *arguments: Any) -> list[etree._Element]:
        """The objects of a pool, without what oned puts beside them
        (QUOTAS, VLAN_RULES, DEFAULT_USER_QUOTAS).
        """
        return list(self._object(method, *arguments).iterfind(tag))

    def datastore(self, datastore_id: int) -> etree._Element:
        """`<DATASTORE>`; secrets stay encrypted."""
        return self._object("datastore.info", datastore_id, False)

    def datastores(self) -> list[etree._Element]:
        """Every `<DATASTORE>`."""
        return self._pool("datastorepool.info", "DATASTORE")

    def find_datastore(self, name_or_id: str) -> etree._Element:
        """A datastore by id or name."""
        if name_or_id.isdigit():
            return self.datastore(int(name_or_id))
        for datastore in self.datastores():
            if datastore.findtext("NAME") == name_or_id:
                return datastore
        raise FrontEndError(
            f"There is no datastore {name_or_id!r} at {self.url}; see onedatastore list.",
            NO_SUCH_OBJECT,
        )

    def image(self, image_id: int) -> etree._Element:
        """`<IMAGE>`."""
        return self._object("image.info", image_id, False)

    def images(self) -> list[etree._Element]:
        """Every `<IMAGE>`."""
        return self._pool("imagepool.info", "IMAGE", *_EVERYTHING)

    def vm(self, vm_id: int) -> etree._Element:
        """`<VM>` with the secrets of its context in plain text; records contain them encrypted only."""
        return self._object("vm.info", vm_id, True)

    def vms(self) -> list[etree._Element]:
        """Every `<VM>` that is not DONE, with all its attributes."""
        return self._pool("vmpool.infoextended", "VM", *_EVERYTHING, ALL_VMS_NOT_DONE, "")

    def networks(self) -> list[etree._Element]:
        """Every `<VNET>`."""
        return self._pool("vnpool.info", "VNET", *_EVERYTHING)

    def network(self, network_id: int) -> etree._Element:
        """`<VNET>` with its leases, which the pool call omits."""
        return self._object("vn.info", network_id, False)

    def security_groups(self) -> list[etree._Element]:
        """Every `<SECURITY_GROUP>`."""
        return self._pool("secgrouppool.info", "SECURITY_GROUP", *_EVERYTHING)

    def vm_groups(self) -> list[etree._Element]:
        """Every `<VM_GROUP>`."""
        return self._pool("vmgrouppool.info", "VM_GROUP", *_EVERYTHING)

    def hosts(self) -> list[etree._Element]:
        """Every `<HOST>`."""
        return self._pool("hostpool.info", "HOST")

    def hooks(self) -> list[etree._Element]:
        """Every `<HOOK>`."""
        return self._pool("hookpool.info", "HOOK", *_EVERYTHING)

    def release(self) -> str:
        """The release of the running oned, such as 7.4.0."""
        return str(self.call("system.version"))

    def configuration(self) -> etree._Element:
        """`<OPENNEBULA_CONFIGURATION>`: oned.conf as the running oned read it at its start.

        For the group oneadmin only.
        """
        return self._object("system.config")

    def user(self) -> etree._Element:
        """`<USER>`: the one of this session."""
        return self._object("user.info", -1)

    def user_pool(self) -> etree._Element:
        """`<USER_POOL>`: users, and their quotas beside them."""
        return self._object("userpool.info")

    def group_pool(self) -> etree._Element:
        """`<GROUP_POOL>`: groups, and their quotas beside them."""
        return self._object("grouppool.info")

    def users(self) -> dict[str, int]:
        """User ids by name."""
        return ids_by_name(self.user_pool().iterfind("USER"))

    def groups(self) -> dict[str, int]:
        """Group ids by name."""
        return ids_by_name(self.group_pool().iterfind("GROUP"))

    def clusters(self) -> list[etree._Element]:
        """Every `<CLUSTER>`."""
        return self._pool("clusterpool.info", "CLUSTER")

    def rules(self) -> etree._Element:
        """`<ACL_POOL>`: the access rules."""
        return self._object("acl.info")

    def update_datastore(self, datastore_id: int, attributes: Pairs) -> None:
        """Set attributes and keep the others."""
        self.call("datastore.update", datastore_id, template.to_xml(attributes), APPEND)

    def replace_datastore(self, datastore_id: int, attributes: Pairs) -> None:
        """Give a datastore exactly these attributes. That is the only way to remove one.

        DS_MAD and TM_MAD must be among them.
        """
        self.call("datastore.update", datastore_id, template.to_xml(attributes), REPLACE)

    def update_image(self, image_id: int, attributes: Pairs) -> None:
        """Set attributes of an image and keep the others."""
        self.call("image.update", image_id, template.to_xml(attributes), APPEND)

    def update_vm(self, vm_id: int, attributes: Pairs) -> None:
        """Set user-template attributes of a VM and keep the others."""
        self.call("vm.update", vm_id, template.to_xml(attributes), APPEND)

    def replace_vm(self, vm_id: int, attributes: Pairs) -> None:
        """Give a VM exactly these user-template attributes. That is the only way to remove one."""
        self.call("vm.update", vm_id, template.to_xml(attributes), REPLACE)

    def allocate_image(self, description: Pairs, datastore_id: int) -> int:
        """Register an image; with SOURCE no driver is called (docs/opennebula-facts.md O1).

        Capacity is not checked, because the data exists already.
        """
        return int(self.call("image.allocate", template.to_xml(description), datastore_id, True))

    def allocate_vm(self, description: Pairs) -> int:
        """Create a VM on hold, so that it starts only after it was read back."""
        return int(self.call("vm.allocate", template.to_xml(description), True))


def ids_by_name(pool: Iterable[etree._Element]) -> dict[str, int]:
    """Ids of objects by their names."""
    return {str(item.findtext("NAME")): number(item, "ID") for item in pool}


def number(element: etree._Element, path: str) -> int:
    """An integer below `element`. Raises FrontEndError when it is missing or not a number."""
    text = element.findtext(path)
    try:
        return int(str(text))
    except ValueError as error:
        raise FrontEndError(f"{element.tag} has {path}={text!r} instead of a number") from error


def attributes(element: etree._Element, part: str = "TEMPLATE") -> Pairs:
    """TEMPLATE (or USER_TEMPLATE) of an object as Pairs."""
    found = element.find(part)
    return () if found is None else template.from_element(found)
