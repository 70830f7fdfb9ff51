"""What the hook manager sends: recorded from a real oned, and what a user may forge into it."""
from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from samples import WIRE

from onedr.hook import payload
from onedr.hook.payload import Event
from onedr.model import template
from onedr.model.errors import InputError

HOOKS = WIRE / "hooks"


def recorded(name: str) -> str:
    """Standard input as OneDR's own hook templates ask for it: the call's name, or `state`, and the data."""
    label, _, encoded = (HOOKS / f"{name}.b64").read_text().partition(" ")
    call = label[len("api-"):] if label.startswith("api-") else "state"
    return f"{call} {encoded}"


def decoded(name: str) -> str:
    return base64.b64decode(recorded(name).partition(" ")[2]).decode()


def sent(call: str, document: str) -> str:
    return f"{call} {base64.b64encode(document.encode()).decode()}"


EXPECTED = {
    "api-one.datastore.allocate": Event("one.datastore.allocate", None, True),
    "api-one.datastore.update": Event("one.datastore.update", 102, True),
    "api-one.datastore.update__failed-call": Event("one.datastore.update", 102, False),
    "api-one.image.allocate": Event("one.image.allocate", None, True),
    "api-one.image.persistent": Event("one.image.persistent", 39, True),
    "api-one.image.persistent__failed-call": Event("one.image.persistent", 41, False),
    "api-one.image.rename": Event("one.image.rename", 4, True),
    "api-one.image.update": Event("one.image.update", 48, True),
    "api-one.vm.action": Event("one.vm.action", 25, True),
    "api-one.vm.allocate": Event("one.vm.allocate", None, True),
    "api-one.vm.attach": Event("one.vm.attach", 25, True),
    "api-one.vm.detach": Event("one.vm.detach", 1, True),
    "api-one.vm.diskresize": Event("one.vm.diskresize", 2, True),
    "img-READY__state1_prev4": Event("state", 39, True),
    "img-USED_PERS__state8_prev1": Event("state", 5, True),
    "vm-ACTIVE-RUNNING": Event("state", 25, True),
    "vm-POWEROFF-LCM_INIT": Event("state", 25, True),
    "vm-SUSPENDED-LCM_INIT": Event("state", 1, True),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recorded_event_names_its_object(name: str) -> None:
    assert payload.read_event(recorded(name)) == EXPECTED[name]


def test_every_recorded_payload_is_expected() -> None:
    assert {path.stem for path in Path(HOOKS).glob("*.b64")} == set(EXPECTED)


def test_no_recorded_call_says_who_made_it() -> None:
    """So the history knows no person behind DR_ACTION: the session is masked, and that is position 1."""
    calls = [path.stem for path in Path(HOOKS).glob("api-*.b64")]
    sessions = {etree.fromstring(decoded(name).encode()).findtext("PARAMETERS/PARAMETER/VALUE") for name in calls}
    assert calls and sessions == {"****"}


def test_the_recorded_forgery_is_one_and_does_not_fool_us() -> None:
    """hook-api-injection: the user's text closed its own element and claimed position 2 for image 0."""
    document = decoded("api-one.image.update")
    assert document.count("<POSITION>2</POSITION>\n      <TYPE>IN</TYPE>") == 2
    assert payload.read_event(recorded("api-one.image.update")).object_id == 48


FORGERY = (
    "</VALUE></PARAMETER><PARAMETER><POSITION>{position}</POSITION><TYPE>IN</TYPE><VALUE>7</VALUE></PARAMETER>"
    "<RESULT>{result}</RESULT><PARAMETER><POSITION>9</POSITION><TYPE>IN</TYPE><VALUE>"
)


@pytest.mark.parametrize("position", [1, 2, 3, 4])
@pytest.mark.parametrize("result", [0, 1])
@pytest.mark.parametrize(
    "name", ["api-one.vm.attach", "api-one.datastore.update__failed-call", "api-one.image.rename"]
)
def test_a_users_text_can_forge_neither_the_object_nor_the_result(
    name: str, position: int, result: int
) -> None:
    texts = {"api-one.vm.attach": "DISK=[IMAGE_ID=4]", "api-one.image.rename": "cp2r"}
    text = texts.get(name, 'DR_MODE="journal"')
    document = decoded(name)
    assert text in document
    forged = document.replace(text, FORGERY.format(position=position, result=result))
    assert payload.read_event(sent(EXPECTED[name].call, forged)) == EXPECTED[name]


@pytest.mark.parametrize(
    "name", ["api-one.image.allocate", "api-one.vm.allocate", "api-one.datastore.allocate"]
)
def test_the_id_of_a_new_object_is_never_believed_because_it_stands_after_the_users_text(name: str) -> None:
    document = decoded(name).replace("NAME=", FORGERY.format(position=2, result=1), 1)
    assert payload.read_event(sent(EXPECTED[name].call, document)).object_id is None


@given(st.text(max_size=40))
def test_what_stands_in_an_objects_name_does_not_change_its_id(text: str) -> None:
    document = f"<VM>\n  <ID>25</ID>\n  <NAME>{text}</NAME><ID>26</ID></VM>"
    assert payload.read_event(sent("state", document)) == Event("state", 25, True)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<HOST><ID>1</ID></HOST>",
        "<VM><NAME>x</NAME><ID>1</ID></VM>",
        "<VM><ID>-1</ID></VM>",
        "<VM><ID></ID></VM>",
        "x<VM><ID>1</ID></VM>",
    ],
)
def test_an_object_whose_id_is_not_where_it_belongs_is_refused(document: str) -> None:
    with pytest.raises(InputError, match="start with an object"):
        payload.read_event(sent("state", document))


@pytest.mark.parametrize("text", ["state %%%", "one.vm.update é", "state /w==", "state A", "state AAA"])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        payload.read_event(text)


@given(st.text(max_size=60), st.binary(max_size=60))
def test_nothing_but_an_input_error_ever_comes_out(text: str, data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    for candidate in (text, f"state {encoded}", f"one.vm.update {encoded}"):
        try:
            event = payload.read_event(candidate)
        except InputError:
            continue
        assert not event.succeeded  # an API call without oned's own RESULT in front


def update_of_vm(text: str, mode: str = "1") -> str:
    """`one.vm.update` as the hook manager passes it: the recorded call for an image, with this text."""
    document = decoded("api-one.image.update")
    begin, end = document.index("NOTE="), document.index('z"') + len('z"')
    return document[:begin] + text + document[end:].replace("<VALUE>1</VALUE>", f"<VALUE>{mode}</VALUE>", 1)


OURS = template.to_xml((("DR_STATE", "PROTECTED"), ("DR_RECOVERY_POINT", "")))
CLOSES = "</VALUE></PARAMETER><PARAMETER><POSITION>4</POSITION><TYPE>IN</TYPE><VALUE>1</VALUE></PARAMETER>"
REOPENS = "<PARAMETER><POSITION>5</POSITION><TYPE>{}</TYPE><VALUE>{}"


def test_what_the_keeper_shows_on_a_vm_is_recognised_however_it_is_indented() -> None:
    for text in (OURS, f"\n  {OURS.replace('><', '>  <')}\n"):
        event = payload.read_event(sent("one.vm.update", update_of_vm(text)))
        assert event.only_shows and (event.object_id, event.succeeded) == (48, True)


@pytest.mark.parametrize("document", [
    update_of_vm(OURS, mode="0"),
    update_of_vm("NOTE=1"),
    update_of_vm(f"NOTE=1 {OURS}"),
    update_of_vm(f"{OURS} NOTE=1"),
    update_of_vm(OURS.replace("</TEMPLATE>", "NOTE=1</TEMPLATE>")),
    update_of_vm(OURS.replace("</TEMPLATE>", "<NOTE>1</NOTE></TEMPLATE>")),
    update_of_vm(f"{OURS}{OURS}"),
    update_of_vm(OURS.replace("<TEMPLATE>", "<TEMPLATE><!-- NOTE=1 --> x")),
    update_of_vm(f"{OURS}{CLOSES}{REOPENS.format('IN', 'NOTE=1')}"),
    update_of_vm(f"{OURS}{CLOSES}{REOPENS.format('OUT', 'NOTE=1')}"),
    update_of_vm(f"{OURS}{CLOSES}</PARAMETERS><EXTRA><PARAMETER><VALUE>NOTE=1"),
    update_of_vm(f"{OURS}{CLOSES}</PARAMETERS></CALL_INFO><!-- NOTE=1"),
])
def test_an_update_that_sets_anything_else_is_none_of_the_keepers(document: str) -> None:
    assert not payload.read_event(sent("one.vm.update", document)).only_shows


def test_another_call_with_the_same_text_is_none_either() -> None:
    assert not payload.read_event(sent("one.image.update", update_of_vm(OURS))).only_shows


@given(st.text(max_size=60))
def test_a_users_own_text_is_never_taken_for_the_keepers(text: str) -> None:
    for written in (text, f"{text}{OURS}", f"{OURS}{text}", f"{OURS}{CLOSES}{text}"):
        if not written.replace(OURS, "", 1).strip():
            continue
        assert not payload.read_event(sent("one.vm.update", update_of_vm(written))).only_shows
