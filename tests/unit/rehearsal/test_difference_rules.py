"""A VM read back against its record: equal is equal, every change is named, no secret is told."""
from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from samples import vm_record

from onedr.model import template
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.opennebula import attributes
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.vm_template import Recreation
from onedr.rehearsal.difference_rules import Shown, differences

DISK = (("IMAGE_ID", "7"), ("TARGET", "vda"), ("CACHE", "none"))
NIC = (("NETWORK_ID", "1"), ("IP", "192.0.2.7"), ("MAC", "02:00:C0:00:02:07"), ("SECURITY_GROUPS", "0,3"))
ASKED: Pairs = (
    ("CPU", "1"), ("MEMORY", "512"), ("DISK", DISK), ("NIC", NIC), ("ONEDR_VALUE_0", "$6$x"),
    ("CONTEXT", (("PASSWORD", "$ONEDR_VALUE_0"), ("ROLE", "front"))), ("GRAPHICS", (("PASSWD", "open sesame"),)),
)
USER: Pairs = (("NOTE", "a secret thing"), ("LABELS", "x"))
RECORD = vm_record(template=(("CPU", "1"), ("MEMORY", "512")), user_template=USER)
BUILT = Recreation(ASKED, USER, ())
FOUND: Pairs = (
    ("CPU", "1"), ("MEMORY", "512"), ("VMID", "9"), ("DISK", (*DISK, ("DISK_ID", "0"), ("SIZE", "8"))),
    ("NIC", (*NIC[:2], ("MAC", "02:00:c0:00:02:07"), ("SECURITY_GROUPS", "3,0"), ("BRIDGE", "br0"))),
    ("CONTEXT", (("PASSWORD", "$6$x"), ("ROLE", "front"), ("ETH0_IP", "192.0.2.7"))),
    ("GRAPHICS", (("PASSWD", "open sesame"), ("PORT", "5909"))),
)
SHOWN = Shown(FOUND, (*USER, ("DR_REHEARSAL", "t")), "alice", "users", "110000000")


def said(found: Pairs = FOUND, record: VmRecord = RECORD, **changes: object) -> tuple[str, ...]:
    return differences(record, BUILT, replace(SHOWN, template=found, **changes))  # type: ignore[arg-type]


def changed(section: str, key: str, value: str) -> Pairs:
    """FOUND with one attribute of a section changed; without it when the value is empty."""
    return tuple(
        (name, tuple((k, value if k == key else v) for k, v in part if k != key or value))
        if name == section and not isinstance(part, str) else (name, part)
        for name, part in FOUND
    )


def test_as_it_was_says_nothing() -> None:
    assert said() == ()


def test_each_change_is_named() -> None:
    for section, key, value in (
        ("DISK", "CACHE", "writeback"), ("DISK", "TARGET", "sda"), ("NIC", "IP", "192.0.2.8"), ("NIC", "NETWORK_ID", "4"),
        ("NIC", "SECURITY_GROUPS", "0"), ("CONTEXT", "ROLE", "back"), ("CONTEXT", "PASSWORD", ""), ("GRAPHICS", "PASSWD", "x"),
    ):
        (text,) = said(changed(section, key, value))
        assert text.startswith(f"{section}/{key} is ")


def test_owner_group_and_permissions_are_compared() -> None:
    assert said(owner="oneadmin") == ("its owner is oneadmin here; it was alice",)
    assert len(said(owner="oneadmin", group="oneadmin", permissions="100000000")) == 3


def test_a_disk_or_nic_that_is_missing_is_named() -> None:
    assert said(template.without(FOUND, "NIC")) == ("1 of 1 NIC are missing here",)


def test_a_users_attribute_that_is_lost_is_named_without_its_value() -> None:
    assert said(user_template=(("LABELS", "x"),)) == ("its attribute NOTE is not as it was",)


def test_what_no_table_knows_is_told() -> None:
    assert said((*FOUND, ("NEW_THING", "1"))) == ("NEW_THING is set here; this release of OneDR does not know it",)
    assert "NIC/NEWER is set here" in said(tuple(
        (key, (*part, ("NEWER", "1"))) if key == "NIC" else (key, part) for key, part in FOUND))[0]


KEPT = sorted(key for key, rule in attributes.VM.items() if rule.treatment is Treatment.KEPT)


@given(st.sampled_from(KEPT), st.text("abc", min_size=1), st.booleans())
def test_every_kept_attribute_that_is_lost_or_changed_is_named(key: str, value: str, vector: bool) -> None:
    held = (("X", value),) if vector else value
    record = vm_record(template=(*template.without(RECORD.template, key), (key, held)), user_template=USER)
    lost = template.without(FOUND, key)
    assert any(key in text for text in said(lost, record))
    other = (("X", f"{value}!"),) if vector else f"{value}!"
    assert any(text.startswith(key) for text in said((*lost, (key, other)), record))
    kept = said((*lost, (key, held)), record)
    assert not [text for text in kept if text.startswith(key)] or key in ("CPU", "MEMORY")


@given(st.sampled_from(["CONTEXT", "GRAPHICS"]), st.text("xyz", min_size=12, max_size=12))
def test_no_value_of_a_section_that_may_hold_secrets_is_told(section: str, secret: str) -> None:
    key = "PASSWORD" if section == "CONTEXT" else "PASSWD"
    assert all(secret not in text and "sesame" not in text and "$6$" not in text
               for text in said(changed(section, key, secret)))
