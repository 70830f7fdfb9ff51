"""Any JSON in place of any part of a record: reading ends with the record or its reason, and every plan with
a verdict in which the other VMs are unharmed.
"""
from __future__ import annotations

import base64
import copy
import hashlib
import json
import zlib
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, THERE, disk, envelope, image, image_record, vm_record

from onedr.drill import plan as drill_plan
from onedr.drill.plan import DrillFacts
from onedr.failover.facts import FailoverFacts
from onedr.failover.placement import Placement
from onedr.failover.plan import plan_failover
from onedr.model.errors import RecordError
from onedr.model.records import Envelope, ImageFacts
from onedr.model.types import PeerState
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.replication import inventory, records, signature
from onedr.replication.signature import Signer
from onedr.runs.request import Request

SIGNER = Signer(signature.derived(bytes(64)), "g-1/one-1")
NOW = 2000.0
TREE = ("SNAPSHOTS", (("DISK_ID", "0"), ("SNAPSHOT", (("ID", "0"), ("SIZE", "1024")))))
VM = vm_record(
    disks=(disk(0, "one/one-1", image_id=7, clone=True, datastore="ceph"), disk(1, None)),
    template=(
        ("CPU", "1"), ("MEMORY", "512"), ("VCPU", "2"),
        ("DISK", (("DISK_ID", "0"), ("IMAGE", "web-os"), ("SIZE", "1024"), ("TARGET", "vda"), ("ORDER", "1"))),
        ("DISK", (("DISK_ID", "1"), ("TYPE", "fs"), ("FORMAT", "raw"), ("SIZE", "64"))),
        ("NIC", (("NIC_ID", "0"), ("NETWORK", "lan"), ("IP", "192.0.2.7"), ("MAC", "02:00:c0:00:02:07"),
                 ("SECURITY_GROUPS", "0"), ("ONEDR_SECURITY_GROUPS", "default"))),
        ("NUMA_NODE", (("MEMORY", "524288"), ("TOTAL_CPUS", "2"))),
        ("OS", (("BOOT", "disk0,nic0"), ("UUID", "12bf23b5-16c9-4778-b1ea-0fa1125c0f41"))),
        ("CONTEXT", (("DISK_ID", "2"), ("NETWORK", "YES"))), ("GRAPHICS", (("TYPE", "vnc"), ("PORT", "5900"))),
        ("ONEDR_SEALED", "AAAA"),
    ),
    user_template=(("DR_PRIORITY", "1"), ("DR_DELAY", "5m"), ("DR_START", "YES"), ("LABELS", "a")),
    snapshots=(TREE,),
)
IMAGE = image_record(image_id=7, template=(("DEV_PREFIX", "vd"), ("DR_ORIGIN", f"{HERE}:3")), snapshots=(TREE,))
LAN = Network(1, "lan", (Range("192.0.2.0", "02:00:c0:00:02:00", 64),))
GROUND = Placement(Counterparts({"lan": LAN, "drills": Network(9, "drills", ())}))
OTHER = vm_record(vm_id=43, name="unharmed", disks=(disk(0, "one/one-2"),))

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.integers(2**31 - 2, 2**64) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["", "-1", "x", "9" * 5000, "1.5", "\u00b2", "\ud800", "\x00", "NO", "1e400", "DISK", "NIC"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    | st.tuples(st.sampled_from(["DISK", "NIC", "MEMORY", "DR_DELAY", "A"]), inner).map(list), max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value, from the whole down to its leaves."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def changed(data: st.DataObject, value: Any) -> Any:
    """A JSON value with one part replaced, taken out, or doubled."""
    path = data.draw(st.sampled_from(places(value)))
    if not path:
        return data.draw(JSON)
    whole = copy.deepcopy(value)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    how = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if how == "remove":
        del inner[path[-1]]
    elif how == "add" and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[path[-1]]))
    else:
        inner[path[-1]] = data.draw(JSON)
    return whole


def plain(body: Any) -> Any:
    return json.loads(json.dumps(asdict(body)))


def laid_out(kind: str, body: Any, by: Signer | None, head: dict[str, Any] | None = None) -> dict[str, str]:
    """A record as it lies on an image, with its right checksum and signature."""
    text = json.dumps(body).encode()
    whole: dict[str, Any] = {
        "schema": 1, "site": "north", "fsid": THERE, "mon_host": "192.0.2.1", "generation": 5, "written_at": 5.0,
        "sha256": hashlib.sha256(text).hexdigest(), "parts": 1,
        "body": base64.b64encode(zlib.compress(text)).decode(), **(head or {}),
    }
    if by is not None:
        whole["mac"] = signature.sign(by, kind, whole)
    return {kind: json.dumps(whole)}


def read(kind: str, values: dict[str, str], by: Signer | None) -> Envelope | None:
    """What is read of it; None when it is refused. Everything else that is raised fails the test."""
    try:
        return records.decode(kind, values, by, NOW)
    except RecordError as error:
        assert str(error)
        return None


def world(vm: Envelope | None, own: Envelope | None) -> tuple[ImageFacts, ...]:
    return (
        image("one-1", vm=vm, image=own, bad_vm="" if vm else "damaged", problems=() if vm else ("damaged",)),
        image("one-2", vm=envelope(OTHER), image=envelope(image_record())),
    )


def all_end_with_a_verdict(images: tuple[ImageFacts, ...]) -> None:
    """Failover, failback, drill and the list of status and check; the other VM comes in each."""
    facts = FailoverFacts("ceph", HERE, True, images, PeerState.GONE, "it refuses", True, ground=GROUND)
    for verb, accept in (("failover", False), ("failover", True), ("failback", False)):
        plan = plan_failover(facts, Request(verb, confirm="ceph", accept_unsigned=accept))
        assert plan.refusal or plan.steps or plan.left_out
        assert verb == "failback" or f"{THERE}:43" in {step.target for step in plan.steps}
    drill = DrillFacts("ceph", HERE, True, images, PeerState.ANSWERS, "it greets", True, network="drills", placement=GROUND)
    found = drill_plan.plan_drill(drill, Request("drill"))
    assert found.refusal or found.steps or found.left_out
    for own in (False, True):
        inventory.vms(images, HERE, own)
    inventory.of_datastore(images, inventory.Owner(HERE, 100, "ceph", "ceph"))


@pytest.mark.parametrize("by", [None, SIGNER], ids=["without a key", "with a key"])
@given(data=st.data())
def test_whatever_stands_in_a_vms_record_that_vm_alone_is_left_out(by: Signer | None, data: st.DataObject) -> None:
    found = read(records.VM_KEY, laid_out(records.VM_KEY, changed(data, plain(VM)), by), by)
    all_end_with_a_verdict(world(found, None))


ODD = ["", "-1", "x", "0", "9" * 30, "9" * 5000, "1.5", "\u00b2", "NO", "1e400", "999.999.999.999", "a,b,c", ":", "/"]


@given(st.sampled_from([path for path in places(plain(VM)) if path[:1] in (("template",), ("user_template",))
                        or path[:1] == ("snapshots",)]), st.sampled_from(ODD))
def test_whatever_text_an_attribute_has_that_vm_alone_is_left_out(path: tuple[Any, ...], text: str) -> None:
    """A sound record of a front-end that says something odd: numbers and addresses that are none."""
    body = plain(VM)
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    if isinstance(inner[path[-1]], str):
        inner[path[-1]] = text
    all_end_with_a_verdict(world(read(records.VM_KEY, laid_out(records.VM_KEY, body, None), None), None))


@pytest.mark.parametrize("by", [None, SIGNER], ids=["without a key", "with a key"])
@given(data=st.data())
def test_whatever_stands_in_an_images_record_the_others_come(by: Signer | None, data: st.DataObject) -> None:
    found = read(records.IMAGE_KEY, laid_out(records.IMAGE_KEY, changed(data, plain(IMAGE)), by), by)
    all_end_with_a_verdict(world(envelope(VM), found))


@pytest.mark.parametrize("by", [None, SIGNER], ids=["without a key", "with a key"])
@given(data=st.data())
def test_whatever_stands_in_a_records_head_it_is_read_or_refused(by: Signer | None, data: st.DataObject) -> None:
    good = laid_out(records.VM_KEY, plain(VM), by)
    text = json.dumps(changed(data, json.loads(good[records.VM_KEY])))
    found = read(records.VM_KEY, {records.VM_KEY: text}, by)
    all_end_with_a_verdict(world(found, None))


@given(st.text() | st.binary(max_size=64).map(lambda raw: raw.decode("latin1")))
def test_text_that_is_no_record_is_refused(text: str) -> None:
    for by in (None, SIGNER):
        assert read(records.VM_KEY, {records.VM_KEY: text}, by) is None


WRONG: dict[str, list[Any]] = {
    "name": [5, None, [], "x" * 5000, "a\x00", "\ud800"], "vm_id": [True, -1, 2**31, 1.0, "1"],
    "permissions": ["", "11000000", "1100000000", "110000002", 110000000], "owner": [None], "group": [{}],
    "state": [[], "GONE", 3], "disks": [None, 5, {}, [None], [5]],
    "disk_id": [None, "0", -1], "clone": [0, "NO", None], "rbd": [5, []], "image_id": ["7", True, -7],
    "template": [5, {}, "x", [1], [["A"]], [["A", "1", "2"]], [[1, "1"]], [["A B", "1"]], [["A", None]], [["A", 5]]],
    "snapshots": [5, [["SNAPSHOTS", {}]]], "user_template": [None, [["", "x"]], [["A", "\x1b"]]], "extra": [1],
}


@pytest.mark.parametrize("field, value", [(field, value) for field, values in WRONG.items() for value in values])
def test_a_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(RecordError, match=f"damaged.*{field}"):
        records.decode(records.VM_KEY, laid_out(records.VM_KEY, with_field(field, value), None))


def with_field(field: str, value: Any) -> dict[str, Any]:
    """The VM with a field of its own, or of its first disk, replaced."""
    body: dict[str, Any] = plain(VM)
    (body["disks"][0] if field in body["disks"][0] else body)[field] = value
    return body


@pytest.mark.parametrize("field", ["vm_id", "name", "template", "disks", "permissions"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    body = plain(VM)
    del body[field]
    with pytest.raises(RecordError, match=f"lacks {field}"):
        records.decode(records.VM_KEY, laid_out(records.VM_KEY, body, None))


@pytest.mark.parametrize("field, value", [
    ("size_mib", -1), ("size_mib", 2**43 + 1), ("size_mib", "5"), ("type", 99), ("type", None), ("persistent", 1),
    ("persistent", "YES"), ("image_id", None), ("image_id", False), ("datastore", 5), ("template", None),
])
def test_a_field_of_an_image_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(RecordError, match=f"damaged.*{field}"):
        records.decode(records.IMAGE_KEY, laid_out(records.IMAGE_KEY, {**plain(IMAGE), field: value}, None))


@pytest.mark.parametrize("field, value", [
    ("generation", 5.0), ("generation", "5"), ("generation", True), ("generation", -1), ("generation", 2**63),
    ("written_at", "5"), ("written_at", 1e300), ("written_at", float("nan")), ("site", 5), ("site", None),
    ("fsid", ""), ("fsid", "a:b"), ("fsid", "x" * 65), ("mon_host", []), ("parts", 0), ("parts", True),
])
def test_a_field_of_the_head_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(RecordError, match=f"damaged.*{field}"):
        records.decode(records.VM_KEY, laid_out(records.VM_KEY, plain(VM), None, {field: value}))


def test_vectors_nested_without_end_are_refused() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [["A", deep]]
    with pytest.raises(RecordError, match="damaged"):
        records.decode(records.VM_KEY, laid_out(records.VM_KEY, {**plain(VM), "template": deep}, None))


@given(st.sampled_from(["template", "user_template", "snapshots"]),
       st.recursive(st.text("ab", max_size=3), lambda inner: st.lists(st.tuples(st.sampled_from("AB"), inner).map(list),
                                                                      min_size=1, max_size=2), max_leaves=8))
def test_a_list_inside_a_vector_is_refused_when_it_is_read(field: str, value: Any) -> None:
    """oned has texts, and vectors of texts; in lists of snapshots one more level."""
    most = 3 if field == "snapshots" else 2
    body = {**plain(VM), field: [["A", value]]}
    try:
        found = records.decode(records.VM_KEY, laid_out(records.VM_KEY, body, None))
    except RecordError as error:
        assert levels(value) >= most and field in str(error) and "where OpenNebula has text" in str(error)
    else:
        assert found is not None and levels(value) < most


def levels(value: Any) -> int:
    """How deep lists of attributes are nested in it; 0 for a text."""
    return 0 if isinstance(value, str) else 1 + max(levels(inner) for _, inner in value)


@pytest.mark.parametrize("digits", [41, 4000, 5_000_000])
def test_a_number_without_end_is_refused_before_it_is_read(digits: int) -> None:
    """4000 digits Python would read; those of millions take some releases of it hours."""
    text = json.dumps(plain(VM)).replace('"vm_id": 42', f'"vm_id": {"9" * digits}').encode()
    whole = json.loads(laid_out(records.VM_KEY, plain(VM), None)[records.VM_KEY])
    whole |= {"body": base64.b64encode(zlib.compress(text)).decode(), "sha256": hashlib.sha256(text).hexdigest()}
    with pytest.raises(RecordError, match=f"a number of {digits} digits"):
        records.decode(records.VM_KEY, {records.VM_KEY: json.dumps(whole)})


def test_the_record_that_is_changed_here_is_a_good_one() -> None:
    for by in (None, SIGNER):
        found = read(records.VM_KEY, laid_out(records.VM_KEY, plain(VM), by), by)
        assert found is not None and found.body == VM and not found.doubt
        own = read(records.IMAGE_KEY, laid_out(records.IMAGE_KEY, plain(IMAGE), by), by)
        assert own is not None and own.body == IMAGE
        all_end_with_a_verdict(world(found, replace(own, fsid=THERE)))
