"""The table of what becomes of each attribute: docs/fidelity.md says the same, and recorded VMs are covered by it."""
from __future__ import annotations

from pathlib import Path

import pytest
from samples import recorded

from onedr.opennebula import attributes
from onedr.opennebula.attributes import Treatment
from onedr.opennebula.nics import GROUP_NAMES

OF_THE_RECORDING = {"DR_ID", "DR_MODE"}  # that front-end's own INHERIT_DATASTORE_ATTR
PAGE = Path(__file__).parents[3] / "docs" / "fidelity.md"
SECTIONS = {
    "VM": attributes.VM, "DISK": attributes.DISK, "NIC, NIC_ALIAS": attributes.NIC,
    "USER_TEMPLATE": attributes.USER_TEMPLATE, "IMAGE": attributes.IMAGE, "SNAPSHOTS": attributes.SNAPSHOTS,
}


def rows(title: str) -> list[str]:
    """The section of the page, as the table says it: a line for each treatment and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, rule in SECTIONS[title].items():
        groups.setdefault((rule.treatment.value, rule.why), []).append(f"`{name}`")
    return [
        f"- **{treatment}**{f': {why}' if why else ''}. {', '.join(sorted(names))}"
        for (treatment, why), names in groups.items()
    ]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_says_what_the_table_says(title: str) -> None:
    text = " ".join(PAGE.read_text().split())
    for row in rows(title):
        assert row in text


def test_every_attribute_of_a_recorded_vm_is_in_the_table() -> None:
    template = recorded("onevm_show_10.xml").find("TEMPLATE")
    assert template is not None
    for element in template:
        assert element.tag in attributes.VM, element.tag
        section = {"DISK": attributes.DISK, "NIC": attributes.NIC, "NIC_ALIAS": attributes.NIC}.get(str(element.tag))
        for inner in element if section is not None else ():
            assert section is not None and inner.tag in {*section, *OF_THE_RECORDING}, f"{element.tag}/{inner.tag}"
    assert GROUP_NAMES in attributes.NIC


def test_what_is_left_out_has_a_reason() -> None:
    for section in SECTIONS.values():
        for name, rule in section.items():
            assert rule.why or rule.treatment not in (Treatment.LEFT_OUT, Treatment.MAPPED), name
