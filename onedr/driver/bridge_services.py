"""What this front-end does for a bridge host: the services of one work item, their arguments checked.

The record key, the passwords of oned here and at the peer, and every secret of a VM stay here.
"""
from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, replace
from typing import Any

from lxml import etree

from onedr.document import fit_rules, place
from onedr.document.form import PlanPart, ReportPart, RunPart, StatusPart
from onedr.driver import bridge_policy, decode
from onedr.driver.bridge_api import Border, WorkItem
from onedr.driver.bridge_veil import Veil
from onedr.host.bridge import Answer, BridgeRefusedError, Service, Work
from onedr.host.paths import front_end_paths
from onedr.model import names, settings, template
from onedr.model.errors import InputError
from onedr.model.json_form import Json
from onedr.model.records import Proof
from onedr.model.template import Pairs, freeze
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import keeper_lock
from onedr.replication import encryption, map_store, plan_store, points, quiet_marks, records, signature
from onedr.replication.signed_versions import Documents

VERBS_ENTRY = "onedr.driver.actions:perform"
_TAG = re.compile(r"onedr-drill-[0-9a-f]{8}-[0-9]{1,18}-[0-9]{1,18}")
_PARTS = {part.name for part in (StatusPart, RunPart, PlanPart, ReportPart)}
_DOCUMENTS: Mapping[str, Documents[Any]] = {  # by verb, what it signs
    "map": map_store.MAPPINGS, "recovery_plan": plan_store.PLANS,
}
_OF_IMAGES = (records.VM_KEY, records.IMAGE_KEY, records.READER_KEY, quiet_marks.KEY, points.KEY)
_AHEAD_US = 60 * 1_000_000  # a generation is a time in microseconds; clocks of two sites differ by less


class Services:
    """The services of one work item, by name."""

    def __init__(self, work: Work, attributes: Pairs, more: Mapping[str, Service]):
        self.veil = Veil(_secret_names(attributes))
        self.item = work_item(work, attributes)
        self._signed: set[str] = set()  # names of images that records may be signed for
        self._place: place.Place | None = None
        self._pauses: dict[int, keeper_lock.KeeperPause] = {}
        allowed = bridge_policy.ALLOWED[self.item.what].services
        own = {
            "api": self._api, "peer_api": self._peer_api, "peer_clock": self._peer_clock, "wake": self._wake,
            "news": self._news, "reminded": self._reminded, "hold": self._hold, "let_go": self._let_go,
            "configuration": self._configuration, "has_key": self._has_key,
            "key_fingerprint": self._key_fingerprint, "seal": self._seal, "open": self._open,
            "sign": self._sign, "fits": self._fits, "keep_drill": self._keep_drill,
            "amend_drill": self._amend_drill, "rehearse": self._rehearse, "report": self._report,
            "document": self._document, "remove_document": self._remove_document, **more,
        }
        border = {"api", "peer_api"}
        self.all = {
            name: _checked(name, service) for name, service in own.items() if name in allowed | border
        }

    def hidden(self, work: Work) -> Work:
        """The work as it is sent: without the secrets of its driver data."""
        if not work.stdin:
            return work
        root = decode.action_data(work.stdin).root
        for datastore in root.iterfind("DATASTORE"):
            self.veil.hide(datastore)
        if self.item.what == "datastore:cp":  # fetched here; an address may have a password in it
            for path in root.iterfind("IMAGE/PATH"):
                path.text = ""
        return work._replace(stdin=base64.b64encode(etree.tostring(root)))

    def _api(self, call: Json) -> Answer:
        border = Border(self.item, self.veil, lambda limit_s: FrontEnd(limit_s=limit_s))
        return border.call(str(call["method"]), call["arguments"], call["limit_s"]), b""

    def _peer_api(self, call: Json) -> Answer:
        from onedr.failover import peer_vms  # drivers never need it

        border = Border(self.item, self.veil, peer_vms.peer_front_end, peer=True)
        return border.call(str(call["method"]), call["arguments"], call["limit_s"]), b""

    def _peer_clock(self, _: Json) -> Answer:
        from onedr.check import collect_front_ends

        return list(collect_front_ends.front_end_clock()), b""

    def _datastore(self, call: Json) -> int:
        if int(call["datastore_id"]) != self.item.datastore_id:
            raise BridgeRefusedError(f"datastore {call['datastore_id']}")
        return self.item.datastore_id

    def _wake(self, call: Json) -> Answer:
        number = int(call["datastore_id"])
        if number not in self.item.datastores:
            raise BridgeRefusedError(f"datastore {number}")
        keeper_lock.wake_keeper(number, bool(call["changed"]))
        return None, b""

    def _rehearse(self, call: Json) -> Answer:
        from onedr.protection import rehearsal_timer  # only keepers need it

        rehearsal_timer.start(self._datastore(call))
        return None, b""

    def _report(self, call: Json) -> Answer:
        from onedr.protection import report_timer  # only keepers need it

        report_timer.start(self._datastore(call))
        return None, b""

    def _news(self, call: Json) -> Answer:
        return keeper_lock.has_news(self._datastore(call), bool(call["peek"])), b""

    def _reminded(self, call: Json) -> Answer:
        return keeper_lock.is_reminded(self._datastore(call), bool(call["peek"])), b""

    def _hold(self, call: Json) -> Answer:
        """The keeper's pause lasts from one call of the bridge to another, or until this process ends."""
        number = self._datastore(call)
        return self._pauses.setdefault(number, keeper_lock.KeeperPause(number)).take(), b""

    def _let_go(self, call: Json) -> Answer:
        pause = self._pauses.pop(self._datastore(call), None)
        if pause is not None:
            pause.release()
        return None, b""

    def _configuration(self, _: Json) -> Answer:
        from onedr.host import config as host_config  # drivers never need it: 3 ms to load

        # a fence command is run on the front-end or not at all; the peer is called from here
        known = replace(host_config.load_config(), fence_command=(), peer_session="")
        return astuple(known), b""

    def _has_key(self, _: Json) -> Answer:
        return encryption.key_in(front_end_paths().record_key) is not None, b""

    def _key_fingerprint(self, _: Json) -> Answer:
        return encryption.fingerprint(encryption.key_in(front_end_paths().record_key)), b""

    def _seal(self, call: Json) -> Answer:
        secrets = self.veil.show_pairs(_pairs(call["secrets"]))
        return encryption.encrypt(_key(), secrets, *map(str, call["bound"])), b""

    def _open(self, call: Json) -> Answer:
        opened = encryption.decrypt(_key(), str(call["sealed"]), *map(str, call["bound"]))
        return self.veil.hide_pairs(opened), b""

    def _sign(self, call: Json) -> Answer:
        signer, kind, head = _signer(call), str(call["kind"]), dict(call["covered"])
        name = signer.image.rpartition("/")[2]
        document = _DOCUMENTS.get(self.item.what)
        of_map = document is not None and (kind, name) == (document.kind, document.image)
        of_image = kind in _OF_IMAGES and self._is_ours(name)
        if not of_map and not of_image:
            raise BridgeRefusedError(f"a signature of {kind!r} for image {name!r}")
        if type(head["generation"]) is not int or head["generation"] > time.time() * 1e6 + _AHEAD_US:
            raise BridgeRefusedError(f"a signature of a record of the future for image {name!r}")
        return signature.sign(signer, kind, head), b""

    def _fits(self, call: Json) -> Answer:
        head = {**dict(call["covered"]), signature.FIELD: str(call["mac"])}
        proof = signature.proof(_signer(call), str(call["kind"]), head)
        return proof is Proof.AUTHENTIC, b""

    def _is_ours(self, name: str) -> bool:
        """Does oned know an image or disk of this name in the pool, or is the work to make it?"""
        if name not in self._signed:
            self._signed = self._known_names()
        return name in self._signed

    def _known_names(self) -> set[str]:
        if self.item.what.startswith("datastore:"):
            return {names.image(number, self.item.site_index) for number in self.item.images}
        oned = FrontEnd()
        one = ":" in self.item.what and self.item.vms  # work on a VM's disk
        vms = [oned.vm(number) for number in self.item.vms] if one else oned.vms()
        found = {image.findtext("SOURCE") or "" for image in oned.images()}
        for vm in vms:
            with suppress(InputError):
                found |= {disk.rbd or "" for disk in opennebula_objects.vm_record(vm, ()).disks}
        pool = f"{self.item.pool}/"
        return {each[len(pool):] for each in found if each.startswith(pool)}

    def _keep_drill(self, call: Json) -> Answer:
        from onedr.drill import report as drill_report  # drivers never need it

        kept = drill_report.save_report(self._datastore(call), _tag(call["tag"]), dict(call["report"]))
        return [str(kept.json), str(kept.html), kept.digest], kept.page

    def _amend_drill(self, call: Json) -> Answer:
        from onedr.drill import report as drill_report

        tags = [_tag(each) for each in call["tags"]]
        kept = drill_report.amend(self._datastore(call), tags, dict(call["cleanup"]))
        if kept is None:
            return None, b""
        return [str(kept.json), str(kept.html), kept.digest], kept.page

    def _document(self, call: Json) -> Answer:
        number, parts, known = self._datastore(call), dict(call["parts"]), call["known"]
        good = all(isinstance(text, str) and len(text) <= fit_rules.PART_BYTES for text in parts.values())
        if not (good and parts.keys() <= _PARTS):
            raise BridgeRefusedError(f"a document with {', '.join(sorted(map(str, parts)))}")
        if self._place is None:
            self._place = place.Place(number, FrontEnd())
        return self._place.put(None if known is None else int(known), parts, bool(call["create"])), b""

    def _remove_document(self, call: Json) -> Answer:
        place.remove_here(self._datastore(call), int(call["known"]), FrontEnd())
        return None, b""


def _secret_names(attributes: Pairs) -> frozenset[str]:
    """Raises InputError."""
    try:
        return settings.attribute_names(template.get(attributes, "DR_SECRET_ATTRS"))
    except ValueError as error:
        raise InputError(f"DR_SECRET_ATTRS: {error}.") from error


def _checked(name: str, service: Service) -> Service:
    """Arguments of another kind than OneDR's are refused like anything else that it does not ask for."""
    def call(arguments: Json) -> Answer:
        try:
            return service(arguments)
        except (KeyError, TypeError, ValueError) as error:
            raise BridgeRefusedError(f"service {name!r} with arguments of another kind") from error

    return call


def _key() -> bytes:
    key = encryption.key_in(front_end_paths().record_key)
    if key is None:
        raise BridgeRefusedError("the record key, which this site has not")
    return key


def _signer(call: Json) -> signature.Signer:
    return signature.Signer(signature.derived(_key()), str(call["image"]))


def _pairs(found: Any) -> Pairs:
    return freeze(found)  # type: ignore[return-value]


def _tag(text: Any) -> str:
    if not _TAG.fullmatch(str(text)):
        raise BridgeRefusedError(f"a report of drill {text!r}")
    return str(text)


def work_item(work: Work, attributes: Pairs) -> WorkItem:
    """What the work is about, from the words and the driver data that oned, or the person, gave to it."""
    pool, argv = ceph_access(attributes).pool, work.argv
    if work.entry == VERBS_ENTRY:
        return WorkItem(argv[0], int(argv[1]), pool, {int(argv[1])})
    module, _, action = work.entry.rpartition(".")[2].partition(":")
    what = f"{module}:{action}"
    if module != "datastore" and action in bridge_policy.VM_ID_AT:  # `datastore:clone` is of an image
        at = bridge_policy.VM_ID_AT[action]
        found = {int(number) for word in argv for number in re.findall(r"/datastores/([0-9]{1,9})/", word)}
        if what != "restore:restore":
            found.add(int(argv[at + 1]))
            return WorkItem(what, int(argv[at + 1]), pool, found, vms={int(argv[at])})
        return WorkItem(what, -1, pool, found, vms={int(argv[at])})
    if what in ("keeper_process:keep", "monitor:monitor", "take_request:take_request_here"):
        return WorkItem(what, int(argv[0]), pool, {int(argv[0])})
    number, index = decode.action_data(work.stdin).datastore_id, template.get(attributes, "DR_SITE_INDEX")
    return WorkItem(
        what, number, pool, {number}, images={int(argv[0])}, site_index=int(index) if index.isdecimal() else 0
    )
