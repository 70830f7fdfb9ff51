"""`onedr status`: of one datastore, of a VM, of all; exit codes, JSON, 80 columns, the last sentence."""
from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from onedr.cli import completion, main, output, run_action, status_schema, status_view, terminal
from onedr.model.errors import FrontEndError, OneDRError, StorageError
from onedr.model.lag import Lag
from onedr.model.rehearsed import Rehearsed
from onedr.model.rehearsed import Result as Came
from onedr.model.template import parse_xml
from onedr.model.types import State
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.protection.scope_rules import out_of_scope
from onedr.runs.answer_events import StatusDisk, StatusEvent, StatusVm, UnprotectedItem
from onedr.runs.events import PeerShown
from onedr.runs.state import NEEDS_A_PERSON, SEVERITY

cli_status = importlib.import_module("onedr.cli.status")  # its name in the package is the command
SCHEMA = Path(__file__).parents[3] / "docs/status.schema.json"
CAME = Rehearsed("f:7", "db", 7, "site-a", 5.0, Came.ACCEPTED, "", ("another MAC",))
DISKS = (
    StatusDisk("one-12", 1 << 30, "JOURNAL", "primary", True, 1.0, 4.2, 7, (), "db-disk", Lag(3), 64 << 20),
    StatusDisk("one-3-7-0", 1 << 30, "JOURNAL", "primary", False, None, None, 7, ("slow",), "debian",
               Lag(percent=34, bytes_per_s=12e6, left_s=90.0), 64 << 20),
)
VM = StatusVm("db", 7, "site-a", True, "ACTIVE", ("one-12", "one-3-7-0"), 1.0, 4.2, (), (), CAME, 0.3)


def status(name: str = "production", state: str = "DEGRADED", **changes: Any) -> StatusEvent:
    made = StatusEvent(
        name, state, "LATE", "primary", f"{name}: the line is slow.", 1, 2, "JOURNAL",
        PeerShown("198.51.100.7:3300 answers", "answers", proven=True), (VM,), DISKS,
        unprotected=(UnprotectedItem("one-99", "it has DR_PROTECT=NO", "by_choice"),), objective_s=900,
    )
    return replace(made, **changes)


DATASTORE = (
    "<DATASTORE><ID>{id}</ID><NAME>{name}</NAME><TEMPLATE><POOL_NAME>one</POOL_NAME><DR_PROTECT>YES</DR_PROTECT>"
    "</TEMPLATE></DATASTORE>"
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `onedr status` where oned has these datastores."""
    def run(events: Mapping[str, StatusEvent | OneDRError], *words: str, more: Any = ()) -> Result:
        def answer(datastore: str, _: Any) -> Any:
            found = events[datastore]
            if isinstance(found, OneDRError):
                raise found
            yield found

        listed = [parse_xml(DATASTORE.format(id=number, name=name)) for number, name in enumerate(events)]
        by_number = {str(number): events[name] for number, name in enumerate(events)}
        events = {**events, **by_number}
        monkeypatch.setattr(run_action, "events", answer)
        monkeypatch.setattr(datastores, "elements", lambda _: [*listed, *more])
        monkeypatch.setattr(cli_status, "FrontEnd", lambda: None)
        return CliRunner().invoke(main, ["status", *words])

    return run


def test_severity_has_every_state_and_the_bad_ones_first() -> None:
    assert set(SEVERITY) == set(State) and len(SEVERITY) == len(State)
    assert State.PROTECTED not in NEEDS_A_PERSON and State.DEGRADED in NEEDS_A_PERSON


@pytest.mark.parametrize("state", State)
def test_exit_codes(shown: Any, state: State) -> None:
    wanted = 6 if state in NEEDS_A_PERSON else 0
    for words in (("production",), (), ("--json",), ("production", "--json"), ("--vm", "db")):
        assert shown({"production": status(state=state.value)}, *words).exit_code == wanted, words


def test_all_are_listed_worst_first_and_the_worst_one_has_the_last_word(shown: Any) -> None:
    events = {
        "good": status("good", "PROTECTED"), "bad": status("bad", "SPLIT_BRAIN"), "late": status("late", "DEGRADED"),
    }
    done = shown(events)
    lines = [line.split()[0] for line in done.output.splitlines() if re.match(r"\s*(good|bad|late) ", line)]
    assert lines[:3] == ["bad", "late", "good"]
    assert done.output.splitlines()[-2:] == ["bad bad: the line is slow.", "More: onedr status bad"]
    assert done.exit_code == 6


def test_one_that_cannot_be_read_hides_no_other_and_comes_first(shown: Any) -> None:
    events = {"good": status("good", "PROTECTED"), "dark": StorageError("Ceph does not answer.")}
    done = shown(events)
    assert done.exit_code == 6
    assert re.search(r"dark +UNREAD.*\n.*good +PROTECTED", done.output)
    assert done.output.splitlines()[-1] == "dark cannot be read: Ceph does not answer."
    told = json.loads(shown(events, "--json").output)
    assert [(each["datastore"], each["event"]) for each in told["datastores"]] == [("dark", "error"), ("good", "status")]
    jsonschema.validate(told, status_schema.schema())


def test_bad_attributes_are_told_and_a_datastore_that_is_not_protected_is_not(shown: Any) -> None:
    bad = parse_xml(DATASTORE.format(id=90, name="bad").replace("YES", "maybe"))
    off = parse_xml(DATASTORE.format(id=91, name="off").replace("YES", "NO"))
    done = shown({"good": status("good", "PROTECTED")}, more=(bad, off))
    assert done.exit_code == 6 and "off" not in done.output
    assert re.search(r"bad +UNREAD", done.output) and "'maybe' is neither YES nor NO" in done.output


def test_where_nothing_is_protected_it_says_how(shown: Any) -> None:
    done = shown({})
    assert done.exit_code == 0 and "onedr enable" in done.output


def test_the_sentence_comes_last(shown: Any) -> None:
    assert shown({"production": status()}, "production").output.splitlines()[-1] == (
        "DEGRADED production: the line is slow.")


def test_names_of_opennebula_stand_beside_rbds_and_a_first_copy_says_how_far_it_is(shown: Any) -> None:
    text = shown({"production": status()}, "production").output
    assert re.search(r"one-12 +db-disk +primary +complete +4\.2 s +3 entries, journal 64\.0 MiB", text)
    assert re.search(r"one-3-7-0 +debian +primary +34 %, 11\.4 MiB/s, 90\.0 s left", text)
    assert "objective 15 min" in text


def test_snapshot_mode_shows_the_last_sync(shown: Any) -> None:
    disk = replace(DISKS[0], lag=Lag(last_bytes=5742592, last_s=2.0), journal_bytes=None, mode="SNAPSHOT")
    text = shown({"production": status(mode="SNAPSHOT", disks=(disk,))}, "production").output
    assert re.search(r"one-12 +5\.5 MiB +2\.0 s", text)


@pytest.mark.parametrize("wanted", ["db", "7"])
def test_a_vm_by_name_or_id(shown: Any, wanted: str) -> None:
    other = replace(VM, name="web", vm=8, disks=())
    done = shown({"silver": status("silver", vms=(other,)), "production": status(vms=(VM, other))}, "--vm", wanted)
    assert "silver" not in done.output and "web" not in done.output
    assert done.output.splitlines()[-1] == "db is not recoverable at the peer: the first copy of a disk is not complete."
    whole = shown({"production": status(disks=DISKS[:1])}, "--vm", wanted)
    assert whole.output.splitlines()[-1] == "db A failover would lose at most 4.2 s; the objective is 15 min."


def test_a_vm_of_which_no_datastore_knows(shown: Any) -> None:
    assert shown({"production": status()}, "--vm", "nope").exit_code == 1
    dark = {"production": status(), "dark": StorageError("Ceph does not answer.")}
    assert shown(dark, "--vm", "nope").exit_code == StorageError.exit_code  # it may be there


def test_an_error_is_json_too(shown: Any) -> None:
    done = shown({"production": FrontEndError("oned does not answer.")}, "production", "--json")
    told = json.loads(done.output)
    assert (told["event"], told["code"], done.exit_code) == ("error", "front-end", 4)
    jsonschema.validate(told, status_schema.schema())


def test_the_schema_is_the_pages_and_what_is_printed_fits(shown: Any) -> None:
    assert json.loads(SCHEMA.read_text()) == status_schema.schema()
    told = json.loads(shown({"production": status()}, "production", "--json").output)
    jsonschema.validate(told, status_schema.schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**told, "state": "FINE"}, status_schema.schema())


@pytest.mark.parametrize("words", [(), ("production",), ("--vm", "db")])
def test_every_table_fits_in_80_columns_without_folding(
    shown: Any, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "console", lambda: terminal.PlainConsole(width=80))
    text = shown({"production": status()}, *words).output
    assert max(map(len, text.splitlines())) <= 80
    for cell in ("production", "DEGRADED", "one-3-7-0", "34 %, 11.4 MiB/s"):
        assert cell in text or (cell.startswith(("one", "34")) and not words)


@pytest.mark.parametrize(("state", "colour"), [
    ("PROTECTED", "32m"), ("PROTECTING", "33m"), ("DEGRADED", "1;31m"), ("SPLIT_BRAIN", "1;31m"),
])
def test_the_state_has_its_colour_on_a_terminal_only(
    shown: Any, state: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ((), ("production",), ("--vm", "db")):
        assert "\x1b" not in shown({"production": status(state=state)}, *words).output
    monkeypatch.setattr(
        output, "console", lambda: terminal.PlainConsole(width=80, force_terminal=True, color_system="standard"))
    for words in ((), ("production",), ("--vm", "db")):
        assert f"\x1b[{colour}{state}\x1b[0m" in shown({"production": status(state=state)}, *words).output


def test_watch_looks_again(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    done = shown({"production": status()}, "production", "--watch")
    assert len(pauses) == 3 and done.output.count("the line is slow.") == 3


@pytest.mark.parametrize(("kind", "driver", "said"), [
    ("1", "-", "are never mirrored"), ("1", "ceph_dr", "are never mirrored"), ("2", "fs", "nothing to protect"),
    ("3", "restic", "nothing to protect"), ("0", "ceph", "onedr enable ds --dry-run"), ("0", "fs", "DS_MAD is fs"),
])
def test_what_is_said_of_a_datastore_that_is_not_ours(kind: str, driver: str, said: str) -> None:
    found = out_of_scope("ds", kind, driver)
    assert found is not None and said in found.message and "DR_PROTECT" not in found.message
    assert found.state == "UNPROTECTED"


def test_an_image_datastore_of_ours_is_looked_at() -> None:
    assert out_of_scope("ds", "0", "ceph_dr") is None and out_of_scope("ds", "", "") is None


def test_the_oldest_point_is_unknown_while_one_is() -> None:
    assert status_view.oldest(status()) is None
    assert status_view.oldest(status(disks=DISKS[:1])) == 4.2
    assert status_view.oldest(status(disks=())) is None


NAMES = (
    "<P><DATASTORE><NAME>gold</NAME><DS_MAD>ceph_dr</DS_MAD><TYPE>0</TYPE></DATASTORE>"
    "<DATASTORE><NAME>g;rm -rf</NAME><DS_MAD>ceph</DS_MAD><TYPE>0</TYPE></DATASTORE>"
    "<DATASTORE><NAME>grey</NAME><DS_MAD>ceph</DS_MAD><TYPE>0</TYPE></DATASTORE>"
    "<DATASTORE><NAME>system</NAME><DS_MAD>-</DS_MAD><TYPE>1</TYPE></DATASTORE></P>"
)


def test_names_are_completed_and_none_that_a_shell_would_act_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrontEnd, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(FrontEnd, "datastores", lambda _: list(parse_xml(NAMES)))
    context = click.Context(main)
    offered = [item.value for item in completion.datastores(context, main.params[0], "g")]
    assert offered == ["gold", "grey"]

    vms = "<P><VM><NAME>db</NAME></VM><VM><NAME>d`id`</NAME></VM><VM><NAME>web</NAME></VM></P>"
    monkeypatch.setattr(FrontEnd, "vms", lambda _: list(parse_xml(vms)))
    assert [item.value for item in completion.vms(context, main.params[0], "d")] == ["db"]

    def silent(_: Any) -> Any:
        raise FrontEndError("oned does not answer.")

    for kind, offer in (("datastores", completion.datastores), ("vms", completion.vms)):
        monkeypatch.setattr(FrontEnd, kind, silent)
        assert offer(context, main.params[0], "") == []


def test_each_argument_that_names_a_datastore_is_completed_and_vms_of_this_site_are() -> None:
    found = list(_parameters(main, "onedr"))
    assert {words for words, each in found if each.name == "datastore"} >= {"onedr status", "onedr drill start"}
    vms = [each for words, each in found if (words, each.name) in (("onedr status", "vm"), ("onedr points", "vms"))]
    assert len(vms) == 2
    for words, parameter, offer in (
        *((words, each, completion.datastores) for words, each in found if each.name == "datastore"),
        *(("", each, completion.vms) for each in vms),
    ):
        assert parameter._custom_shell_complete is offer, (words, parameter.name)


def _parameters(command: click.Command, words: str) -> Iterator[tuple[str, click.Parameter]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            yield from _parameters(each, f"{words} {name}")
    for parameter in command.params:
        yield words, parameter
