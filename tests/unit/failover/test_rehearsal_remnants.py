"""What counts as a rehearsal's, and is removed: by the token and the disks together; anything else stays."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from onedr.failover.rehearsal_remnants import has_data, is_of
from onedr.model import names, template

TOKEN = "0123456789abcdef0123456789abcdef"
STAND_IN = f"one/{names.stand_in(TOKEN, 'one-1')}"


def vm(token: str, *sources: str) -> etree._Element:
    disks = "".join(f"<DISK><SOURCE>{source}</SOURCE></DISK>" for source in sources)
    return template.parse_xml(
        f"<VM><ID>3</ID><NAME>onedr-rehearsal-web</NAME><TEMPLATE>{disks}</TEMPLATE>"
        f"<USER_TEMPLATE><DR_REHEARSAL>{token}</DR_REHEARSAL></USER_TEMPLATE></VM>")


def image(token: str, source: str) -> etree._Element:
    return template.parse_xml(
        f"<IMAGE><ID>3</ID><NAME>onedr-rehearsal-x</NAME><SOURCE>{source}</SOURCE>"
        f"<TEMPLATE><DR_REHEARSAL>{token}</DR_REHEARSAL></TEMPLATE></IMAGE>")


def test_what_a_turn_made_is_its_own_and_has_no_data() -> None:
    for made in (vm(TOKEN), vm(TOKEN, STAND_IN, ""), image(TOKEN, STAND_IN)):
        assert is_of(made, {TOKEN}) and not has_data(made, "one")


@given(st.text("0123456789abcdef", max_size=32))
def test_a_name_or_another_token_is_not_enough(token: str) -> None:
    assert not is_of(vm(token, STAND_IN), {TOKEN}) and not is_of(image(token, STAND_IN), {TOKEN})
    assert not is_of(vm("", STAND_IN), set())


@given(st.sampled_from(["one/one-1", "one/one-1-7-0", "two/" + STAND_IN[4:], "one/onedr-rehearsal-other-one-1", "/x"]))
def test_what_has_data_is_not_removed_whatever_its_marks_say(source: str) -> None:
    assert has_data(vm(TOKEN, STAND_IN, source), "one")
    assert has_data(image(TOKEN, source), "one") and has_data(image(TOKEN, ""), "one")
