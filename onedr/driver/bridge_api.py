"""Calls of a bridge host to oned, here or at the peer: methods of an allow-list, on objects of the work's
datastore only, with secrets taken out of what goes to the host and put back into what comes from it.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from onedr.driver import bridge_policy
from onedr.driver.bridge_veil import Veil
from onedr.host.bridge import BridgeRefusedError
from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.model.types import DRIVER
from onedr.opennebula import run_made, vm_locks, vm_template
from onedr.opennebula.api import APPEND, REPLACE, FrontEnd, attributes
from onedr.opennebula.own_marks import STAND_IN, VM_SHOWN
from onedr.protection.enable_plan import CEPH_MODE

_OF_ONEDR = frozenset({"DS_MAD", "TM_MAD", *(key for key, _ in CEPH_MODE)})
_SHOWN_OF_OTHERS = (
    "ID", "UID", "GID", "NAME", "UNAME", "GNAME", "TYPE", "STATE", "LCM_STATE", "DATASTORE_ID", "SOURCE",
    "SIZE", "PERSISTENT", "PERMISSIONS",
)
_STOOD_FOR = re.compile(rf"\${STAND_IN}[0-9]+")
_FILE_IMAGE = re.compile(r"\$FILE\[IMAGE_ID=[0-9]+\]")
_NAME = re.compile("[A-Z_][A-Z0-9_]*")
_COPIES = ("PATH", "FROM_APP", "FROM_BACKUP_DS", "URL")  # oned would read them with its own rights
_RECOVER_DELETE = 3
_OF_A_RUN = (vm_template.DRILL, vm_template.REHEARSAL, vm_template.CARRIER)


@dataclass
class WorkItem:
    """What one piece of work is about: ids at this front-end, and the pool. `vms`, `images`: those it made,
    or is for; of the others the datastore decides.
    """

    what: str  # key of bridge_policy.ALLOWED
    datastore_id: int
    pool: str
    datastores: set[int] = field(default_factory=set)  # it may read
    vms: set[int] = field(default_factory=set)
    images: set[int] = field(default_factory=set)
    site_index: int = 0


class Border:
    """oned as a bridge host sees it. `there`: opens a session; `peer`: it is the peer's oned, where what lies
    in our pool belongs to the work.
    """

    def __init__(self, item: WorkItem, veil: Veil, there: Callable[[float], FrontEnd], peer: bool = False):
        self._item, self._veil, self._there, self._peer = item, veil, there, peer
        allowed = bridge_policy.ALLOWED[item.what]
        self._allowed = allowed.peer if peer else allowed.methods

    def call(self, method: str, arguments: Sequence[Any], limit_s: float) -> Any:
        """oned's answer. Raises BridgeRefusedError for what the work does not need, FrontEndError."""
        where = "oned's method" if not self._peer else "the peer's method"
        if method not in self._allowed or not all(isinstance(each, (str, int)) for each in arguments):
            raise BridgeRefusedError(f"{where} {method!r}")
        oned = self._there(min(max(float(limit_s), 1.0), 60.0))
        try:
            wanted = self._checked(oned, method, list(arguments))
        except (IndexError, TypeError, ValueError) as error:
            raise BridgeRefusedError(f"{where} {method!r} with arguments of another kind") from error
        except BridgeRefusedError as error:
            raise BridgeRefusedError(f"{where} {method!r}: {error}") from error
        answer = oned.call(method, *wanted)
        if method == "vm.allocate":
            self._item.vms.add(int(answer))
        elif method == "image.allocate":
            self._item.images.add(int(answer))
        return self._shown(method, answer) if isinstance(answer, str) and answer.startswith("<") else answer

    def _checked(self, oned: FrontEnd, method: str, wanted: list[Any]) -> list[Any]:
        """The arguments with their secrets, when they are of the work's own objects."""
        kind, _, verb = method.partition(".")
        if method == "vm.allocate":
            return [self._template(oned, wanted[0]), True]
        if method == "image.allocate":
            return [self._new_image(wanted[0]), self._own_datastore(wanted[1]), True]
        if method in ("datastore.info", "vn.info", "image.info", "vm.info"):
            self._may_read(kind, wanted[0])
            return [int(wanted[0]), method == "vm.info"]
        if kind == "vm":
            self._of_vm(oned, verb, wanted)
        elif kind == "image":
            self._own_image(oned, wanted[0], verb == "delete")
        elif method == "datastore.update":
            self._own_datastore(wanted[0])
            self._datastore_attributes(oned, wanted)
        if verb in ("update", "attach", "attachnic", "schedadd", "updateconf"):
            wanted[1] = self._written_for(oned, verb, wanted)
        if verb == "update" and kind != "datastore":
            self._few_attributes(oned, kind, int(wanted[0]), wanted[1], wanted[2])
        if method == "vm.rename" and wanted[1] == run_made.CARRIER_NAME:
            raise BridgeRefusedError(f"the name {wanted[1]!r}")
        return wanted

    def _written_for(self, oned: FrontEnd, verb: str, wanted: list[Any]) -> str:
        if verb == "updateconf":
            return self._settings(oned, int(wanted[0]), wanted[1])
        return self._template(oned, wanted[1], verb != "update")

    def _may_read(self, kind: str, number: Any) -> None:
        if kind == "datastore" and not self._peer and int(number) not in self._item.datastores:
            raise BridgeRefusedError(f"datastore {number}")

    def _own_datastore(self, number: Any) -> int:
        if self._peer or int(number) != self._item.datastore_id:
            raise BridgeRefusedError(f"datastore {number}")
        return self._item.datastore_id

    def _of_vm(self, oned: FrontEnd, verb: str, wanted: list[Any]) -> None:
        vm_id = int(wanted[1 if verb == "action" else 0])
        ends = verb == "recover" or (verb == "action" and wanted[0] in bridge_policy.ENDS_A_VM)
        if verb == "action" and wanted[0] not in bridge_policy.ACTIONS:
            raise BridgeRefusedError(f"action {wanted[0]!r}")
        if verb == "recover" and wanted[1:] != [_RECOVER_DELETE]:
            raise BridgeRefusedError(f"operation {wanted[1:]!r}")
        known = vm_id in self._item.vms
        if known and not ends:
            return
        vm = oned.vm(vm_id)
        own = known or self._belongs(vm)
        if ends:
            own = run_made.is_of_run(vm) and not self._peer and (own or _is_empty(vm))
        if not own:
            raise BridgeRefusedError(f"VM {vm_id}")

    def _own_image(self, oned: FrontEnd, number: Any, ends: bool) -> None:
        image_id = int(number)
        if image_id in self._item.images and not ends:
            return
        image = oned.image(image_id)
        if self._peer or not self._belongs(image) or (ends and not run_made.is_of_run(image)):
            raise BridgeRefusedError(f"image {image_id}")

    def _belongs(self, element: etree._Element) -> bool:
        """Is this VM or image of the work's datastore, or at the peer of its pool?"""
        places = [element] if element.tag == "IMAGE" else element.findall("TEMPLATE/DISK")
        return any(self._is_there(place) for place in places)

    def _is_there(self, place: etree._Element) -> bool:
        source = place.findtext("SOURCE") or ""
        if not source and place.tag == "DISK":  # volatile
            return place.findtext("POOL_NAME") == self._item.pool
        if self._peer:
            return source.startswith(f"{self._item.pool}/")
        return place.findtext("DATASTORE_ID") == str(self._item.datastore_id)

    def _template(self, oned: FrontEnd, text: Any, new: bool = True) -> str:
        """A template with its secrets. `new`: oned resolves what is in it, with the rights of oneadmin."""
        root = template.parse_xml(str(text))
        if new:
            _is_as_oned_reads_it(root)
            self._resolves_nothing(root)
            for disk in root.iterfind("DISK"):
                self._disk(oned, disk)
        self._veil.show(root)
        return _written(root)

    def _disk(self, oned: FrontEnd, disk: etree._Element) -> None:
        number = disk.findtext("IMAGE_ID")
        if number is not None:
            self._own_image(oned, number, False)
        for key in ("IMAGE", "SOURCE", *_COPIES):
            if disk.findtext(key):
                raise BridgeRefusedError(f"a disk with {key}")

    def _settings(self, oned: FrontEnd, vm_id: int, text: Any) -> str:
        """Of a context's values oned resolves those that are not as the VM has them."""
        root = template.parse_xml(str(text))
        _is_as_oned_reads_it(root)
        self._veil.show(root)
        own = oned.vm(vm_id)
        for leaf in root.iterfind("CONTEXT/*"):
            if leaf.text != own.findtext(f"TEMPLATE/CONTEXT/{leaf.tag}") or leaf.tag == "NETWORK":
                _resolves_to_itself(leaf)
        return _written(root)

    def _resolves_nothing(self, root: etree._Element) -> None:
        for leaf in root.iterfind("CONTEXT/*"):
            _resolves_to_itself(leaf)
        for leaf in root.iterfind("OS/*"):
            if "$" in (leaf.text or "") and not _FILE_IMAGE.fullmatch(leaf.text or ""):
                raise BridgeRefusedError(f"OS/{leaf.tag} that oned would resolve")

    def _new_image(self, text: Any) -> str:
        root = template.parse_xml(str(text))
        _is_as_oned_reads_it(root)
        _once([str(part.tag) for part in root], "image")
        source = root.findtext("SOURCE") or ""
        if source.partition("/")[0] != self._item.pool or any(root.find(key) is not None for key in _COPIES):
            raise BridgeRefusedError(f"an image of {source!r}")
        self._veil.show(root)
        return _written(root)

    def _few_attributes(self, oned: FrontEnd, kind: str, number: int, text: str, mode: Any) -> None:
        """Where work only leaves a word on an object, it leaves no other. What a run may end is marked when
        it is made, and never later.
        """
        keys = {str(child.tag).upper() for child in template.parse_xml(text)}
        made = self._item.vms if kind == "vm" else self._item.images
        marks = keys & set(_OF_A_RUN)
        if marks and (self._peer or number not in made):
            raise BridgeRefusedError(f"attributes {', '.join(sorted(marks))} of {kind} {number}")
        few = {vm_locks.LOCKED_STATE, vm_locks.OLD_LOCKED_STATE, vm_locks.USER_LOCK, *VM_SHOWN}
        limited = self._peer or self._item.what in bridge_policy.LOCKS_VMS
        if self._item.what == "datastore:rm":
            limited, few = True, {"DR_MESSAGE"}
        if limited and not (keys <= few and mode == APPEND):
            raise BridgeRefusedError(f"attributes {', '.join(sorted(keys))} of a {kind}")
        if self._item.what == "disable":
            _only_takes_off(oned, number, text, mode)

    def _datastore_attributes(self, oned: FrontEnd, wanted: list[Any]) -> None:
        """OneDR's own attributes may change; all others are as they are, whether or not they are written."""
        root = template.parse_xml(str(wanted[1]))
        self._veil.show(root)
        given = template.from_element(root)
        mode = wanted[2]
        own = _OF_ONEDR if self._item.what in bridge_policy.SETS_DRIVERS else frozenset()
        drivers = {(key, value) for key, value in given if key in ("DS_MAD", "TM_MAD") and value != DRIVER}
        others = {(key, value) for key, value in given if not _is_own(key, own)}
        if mode == APPEND and not others and not drivers:
            return
        now = attributes(oned.datastore(self._item.datastore_id))
        kept = {(key, value) for key, value in now if not _is_own(key, own)}
        if mode not in (APPEND, REPLACE) or (others != kept if mode == REPLACE else others - kept):
            changed = {key for key, _ in others ^ kept}
            raise BridgeRefusedError(f"attributes {', '.join(sorted(changed))} of the datastore")
        if self._item.what != "disable" and drivers - set(now):
            raise BridgeRefusedError("other drivers of the datastore")

    def _shown(self, method: str, answer: str) -> str:
        """An answer without secrets, and without what is other datastores' matter."""
        try:
            root = template.parse_xml(answer)
        except ValueError as error:
            raise FrontEndError(f"[one.{method}] answered {error}") from error
        if method == "user.info":
            return "<USER/>"
        if method in ("userpool.info", "grouppool.info"):
            for each in root:
                _keep(each, ("ID", "NAME"))
        elif method in ("vmpool.infoextended", "imagepool.info"):
            for each in root:
                self._only_own(each)
        elif method == "vm.info" and not self._is_of_work(root):
            raise BridgeRefusedError(f"VM {root.findtext('ID')}")
        elif method == "image.info" and not self._is_of_work(root):
            raise BridgeRefusedError(f"image {root.findtext('ID')}")
        # attributes of images are plain in their records too (docs/records.md)
        if not method.startswith("image"):
            self._veil.hide(root)
        return etree.tostring(root, encoding="unicode")

    def _is_of_work(self, element: etree._Element) -> bool:
        made = self._item.images if element.tag == "IMAGE" else self._item.vms
        number = int(element.findtext("ID") or -1)
        own = (not self._peer and number in made) or self._belongs(element)
        if own and element.tag == "VM" and not self._peer:
            self._item.datastores |= {
                int(found.text) for found in element.iterfind("TEMPLATE/DISK/DATASTORE_ID") if found.text
            }
        return own

    def _only_own(self, element: etree._Element) -> None:
        """Of another datastore's VM or image what is needed to tell that it is one: names, states, disks."""
        if self._belongs(element):
            return
        disks = element.findall("TEMPLATE/DISK")
        marks = [
            each for each in element.iterfind("USER_TEMPLATE/*")
            if str(each.tag).startswith(bridge_policy.OWN_PREFIX)
        ]
        _keep(element, _SHOWN_OF_OTHERS)
        if element.tag == "VM":
            etree.SubElement(element, "TEMPLATE").extend(disks)
            etree.SubElement(element, "USER_TEMPLATE").extend(marks)


def _resolves_to_itself(leaf: etree._Element) -> None:
    """Raises BridgeRefusedError for a value of CONTEXT that oned would replace by another."""
    text = leaf.text or ""
    if leaf.tag in ("FILES", "FILES_DS") or ("$" in text and not _STOOD_FOR.fullmatch(text)):
        raise BridgeRefusedError(f"CONTEXT/{leaf.tag} that oned would resolve")


def _only_takes_off(oned: FrontEnd, vm_id: int, text: str, mode: Any) -> None:
    """Does an update of a VM take off what OneDR shows on it, and change nothing else? Raises
    BridgeRefusedError.
    """
    kept = template.without(attributes(oned.vm(vm_id), "USER_TEMPLATE"), *VM_SHOWN)
    if mode != REPLACE or template.from_element(template.parse_xml(text)) != kept:
        raise BridgeRefusedError(f"other attributes of VM {vm_id}")


def _written(root: etree._Element) -> str:
    """A template as oned takes it: it passes over an element without any text, which is to clear one."""
    for leaf in root.iterdescendants():
        if not len(leaf) and not leaf.text:
            leaf.text = etree.CDATA("")
    return etree.tostring(root, encoding="unicode")


def _is_as_oned_reads_it(root: etree._Element) -> None:
    """oned writes names of attributes in capitals, and of two in one section takes the last: what was checked
    must be what it reads. Raises BridgeRefusedError.
    """
    for part in root:
        if not _NAME.fullmatch(str(part.tag)):
            raise BridgeRefusedError(f"an attribute {str(part.tag)!r}")
        _once([str(leaf.tag) for leaf in part], str(part.tag))


def _once(names: Sequence[str], where: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BridgeRefusedError(f"{', '.join(sorted(twice))} given twice in {where}")


def _is_empty(vm: etree._Element) -> bool:
    """A VM without disks belongs to no datastore."""
    return vm.find("TEMPLATE/DISK") is None


def _is_own(key: str, own: frozenset[str]) -> bool:
    return key.startswith(bridge_policy.OWN_PREFIX) or key in own


def _keep(element: etree._Element, wanted: tuple[str, ...]) -> None:
    for child in list(element):
        if child.tag not in wanted:
            element.remove(child)
