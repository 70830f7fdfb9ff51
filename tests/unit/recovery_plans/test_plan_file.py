"""The file of a recovery plan: what is read, what is refused, by line and with what to type."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.errors import InputError
from onedr.model.recovery_plan import Gate, Group
from onedr.recovery_plans import plan_file

GOOD = """\
version: 1
groups:
  - name: databases
    vms: [db1, db2, "17"]
    owners: [dba]
    depends: {db2: db1}
    gate: {port: 5432, within: 10m, then: stop}
    delay: 30s
  - name: app
    labels: app/prod
    groups: [developers]
    gate: {running: yes, within: 2m}
  - name: batch
    vms: [batch]
    after: [databases]
"""


def test_a_good_file() -> None:
    databases, app, batch = plan_file.read(GOOD).groups
    assert databases == Group(
        "databases", ("db1", "db2", "17"), owners=("dba",), depends={"db2": ("db1",)},
        gate=Gate(5432, 600, True), delay_s=30, line=3,
    )
    assert (app.labels, app.groups, app.after) == (("app/prod",), ("developers",), ("databases",))
    assert app.gate == Gate(0, 120, False)
    assert batch.after == ("databases",) and batch.gate is None
    assert [[group.name for group in wave] for wave in plan_file.read(GOOD).waves()] == [["databases"], ["app", "batch"]]


@pytest.mark.parametrize(("old", "new", "words"), [
    ("groups:\n  - name", "group:\n  - name", "line 2: the file has no key 'group'; do you mean groups?"),
    ("version: 1", "version: 2", "line 1: version is missing or not known: write version: 1"),
    ("vms: [db1", "vm: [db1", "line 4: a group has no key 'vm'; do you mean vms?"),
    ("name: app", "name: App", "line 9: a group needs a name of small letters"),
    ("name: app", "name: databases", "line 9: group databases is in line 3 already"),
    ("vms: [batch]", "vms: [batch, db1]", "line 13: VM db1 is in group databases already"),
    ("vms: [batch]", "vms: []", "line 13: group batch selects no VM"),
    ("after: [databases]", "after: [database]", "line 13: after: there is no group database; do you mean databases?"),
    ("delay: 30s", "delay: 30s\n    after: batch", "line 3: the groups wait for each other in a circle: "),
    ("db2: db1}", "db2: [db1], db1: [db2]}", "line 3: depends: VMs wait for each other in a circle: "),
    ("db2: db1}", "db2: db3}", "line 3: depends: db3 is not in vms of group databases"),
    ("    owners: [dba]\n", "", "line 3: group databases may stop a run, and any user may give his VM such a name"),
    ("then: stop", "then: ask", "line 7: then must be continue or stop"), ("5432", "65536", "line 7: port must be a TCP port"),
    ("10m", "2h", "line 7: 2h is longer than the 3600 s"), ("30s", "soon", "line 8: 'soon' is not a duration"),
    ("{running: yes,", "{http: health,", "line 12: http must be the path of a page"), ("{running: yes,", "{running: yes, http: /,", "line 12: gate must be"),
    ("{running: yes,", "{running: no,", "line 12: running must be yes"), ("port: 5432, ", "", "line 7: gate must be"),
    ('"17"', "17", 'line 4: 17 is no text for YAML: put it in quotes: "17"'), ("[db1, db2", "[db1, db1", "line 4: db1 is there twice"),
    ("labels: app/prod", "labels: &all app", "line 10: anchors (&) and aliases (*) are not read"),
    (GOOD, "", "The plan is empty or no mapping"), (GOOD, "version: 1\ngroups: []\n", "line 2: groups must be a list with at least one group"),
])
def test_what_is_wrong_is_said_by_line(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as refused:
        plan_file.read(GOOD.replace(old, new))
    assert words in str(refused.value)


def test_a_page_has_a_port_of_its_own_or_the_webs() -> None:
    for gate, expected in (("http: /", Gate(80, 120, False, "/")), ("http: /ok, port: 8080", Gate(8080, 120, False, "/ok"))):
        assert plan_file.read(GOOD.replace("running: yes", gate)).groups[1].gate == expected


def test_a_circle_is_named() -> None:
    with pytest.raises(InputError, match="a needs b needs a: none of them can be first"):
        plan_file.read("version: 1\ngroups:\n- {name: a, vms: [x], after: b}\n- {name: b, vms: [y], after: a}\n")


@given(text=st.text(max_size=200) | st.text(max_size=60).map(lambda text: GOOD.replace("db1", text)))
def test_any_text_is_a_plan_or_a_sentence(text: str) -> None:
    try:
        plan_file.read(text)
    except InputError as error:
        assert str(error)
