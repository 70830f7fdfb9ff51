"""Every attribute that OneDR writes on VMs and images is known as its own, or as one that users set."""
from __future__ import annotations

import re
from pathlib import Path

from onedr.drill import plan as drill_plan
from onedr.model import settings
from onedr.opennebula import own_marks, vm_template
from onedr.protection import settle_rules
from onedr.replication import ledger

ROOT = Path(__file__).parents[3]
OF_USERS = {"DR_PROTECT", "DR_PRIORITY", "DR_DELAY", "DR_START"}
OF_DATASTORES = {
    *settings.KEYS, *settle_rules.WORDS, settle_rules.SEQ, "DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_PROTECTED",
    "DR_PROGRESS", "DR_RECOVERY_POINT", "DR_LAST_DRILL", "DR_DOCUMENT",
}
NO_ATTRIBUTES = {"DR_", "DR_ORIGIN_"}  # of a request, beginnings of names


def test_every_attribute_in_the_code_is_classified() -> None:
    files = (ROOT / "onedr").rglob("*.py")
    found = {word for file in files for word in re.findall(r'"(DR_[A-Z_]*)"', file.read_text())}
    marks = {mark for names in own_marks.RESTRICTED.values() for mark in names}
    assert found - NO_ATTRIBUTES == (found & (OF_USERS | OF_DATASTORES)) | marks


def test_the_marks_are_those_that_the_features_write() -> None:
    assert {*vm_template.MARKS, vm_template.DRILL, vm_template.REHEARSAL, vm_template.CARRIER, drill_plan.DRILL_OF, ledger.TOKEN} == set(own_marks.VM_MARKS)
    assert {vm_template.ORIGIN, vm_template.ORIGIN_SOURCE, vm_template.FINISHED, ledger.TOKEN} < set(
        own_marks.IMAGE_MARKS
    )


def test_what_users_set_stays_free() -> None:
    assert not OF_USERS & {mark for names in own_marks.RESTRICTED.values() for mark in names}
