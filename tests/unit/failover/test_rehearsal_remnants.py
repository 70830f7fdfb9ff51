"""What counts as a rehearsal's, and is removed: by token, name and disks together; anything else stays."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onedr.failover.rehearsal_remnants import _is_ours
from onedr.model import names, template

TOKEN = "0123456789abcdef0123456789abcdef"
STAND_IN = f"one/{names.stand_in(TOKEN, 'one-1')}"


def vm(name: str = "onedr-rehearsal-web", token: str = TOKEN, *sources: str) -> bool:
    disks = "".join(f"<DISK><SOURCE>{source}</SOURCE></DISK>" for source in sources)
    text = f"<VM><ID>3</ID><NAME>{name}</NAME><TEMPLATE>{disks}</TEMPLATE><USER_TEMPLATE><DR_REHEARSAL>{token}</DR_REHEARSAL></USER_TEMPLATE></VM>"
    return _is_ours(template.parse_xml(text), {TOKEN}, "one")


def image(source: str, name: str = names.stand_in(TOKEN, "one-1"), token: str = TOKEN) -> bool:
    text = (f"<IMAGE><ID>3</ID><NAME>{name}</NAME><SOURCE>{source}</SOURCE>"
            f"<TEMPLATE><DR_REHEARSAL>{token}</DR_REHEARSAL></TEMPLATE></IMAGE>")
    return _is_ours(template.parse_xml(text), {TOKEN}, "one")


def test_what_a_turn_made_is_its_own() -> None:
    assert vm() and vm("onedr-rehearsal-web", TOKEN, STAND_IN, "") and image(STAND_IN)


def test_a_name_or_a_token_alone_is_not() -> None:
    assert not vm("web") and not vm(token="another") and not vm(token="")
    assert not image(STAND_IN, name="web") and not image(STAND_IN, token="")


@given(st.sampled_from(["one/one-1", "one/one-1-7-0", "two/" + STAND_IN[4:], "one/onedr-rehearsal-other-one-1", "/x"]))
def test_what_has_data_is_not_whatever_its_marks_say(source: str) -> None:
    assert not vm("onedr-rehearsal-web", TOKEN, STAND_IN, source)
    assert not image(source) and not image("")
