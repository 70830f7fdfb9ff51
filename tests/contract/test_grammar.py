"""Templates and requirements as oned reads them (docs/opennebula-facts.md O26)."""
from __future__ import annotations

import pytest

from sandbox.frontend.objects.errors import TemplateError
from sandbox.frontend.objects.templates import Template, parse
from sandbox.frontend.vm.expressions import BadExpression, matches


@pytest.mark.parametrize(("text", "expected"), [
    ('A="b c"', {"A": ["b c"]}),
    ("a=b\nB = c # note\n", {"A": ["b"], "B": ["c"]}),
    ('A="say \\"x\\""', {"A": ['say "x"']}),
    ('A="two\nlines"', {"A": ["two\nlines"]}),
    ('A="<&>ü"', {"A": ["<&>ü"]}),
    ('A="open\n', {"A": ['"open']}),
    ("A=\nB=1", {"A": [""], "B": ["1"]}),
    ('A=""', {"A": [""]}),
    ('V=[ x="1",\n  Y = two ]', {"V": [{"X": "1", "Y": "two"}]}),
    ("V=[]", {"V": [{}]}),
    ("A=1\nA=2", {"A": ["1", "2"]}),
    ("# only a note\nA=1", {"A": ["1"]}),
    ("<TEMPLATE><A>x &lt;1&gt;</A><V><B>2</B></V></TEMPLATE>", {"A": ["x <1>"], "V": [{"B": "2"}]}),
])
def test_what_is_read(text: str, expected: dict[str, object]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ['A="x]]>y"', "A=two words", "A-B=1", "V=[A=1", "V=[A]", "A", "", "<A><B></A>"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="Parse error"):
        parse(text)


def test_names_are_sorted_in_xml_and_repeated_values_keep_their_order() -> None:
    template = Template.of(B="1", A=["y", "x"], C={"N": "2", "M": "1"})
    assert template.to_xml() == ("<TEMPLATE><A><![CDATA[y]]></A><A><![CDATA[x]]></A><B><![CDATA[1]]></B>"
                                 "<C><M><![CDATA[1]]></M><N><![CDATA[2]]></N></C></TEMPLATE>")


def test_append_replaces_attributes_of_the_same_name() -> None:
    template = Template.of(A=["1", "2"], B="x")
    template.merge(Template.of(A="3"))
    assert template == {"A": ["3"], "B": ["x"]}


HOST = {"ID": "1", "NAME": "node1", "FREE_CPU": "300", "CLUSTERS/ID": "0,7"}


@pytest.mark.parametrize(("expression", "met"), [
    ("", True), ('ID="1"', True), ("NAME=node1", True), ('NAME="node*"', True), ('NAME != "node1"', False),
    ('ID = "1" & NAME = "other"', False), ('ID = "2" | NAME = "node1"', True), ("FREE_CPU > 200", True),
    ("FREE_CPU < 200", False), ('!(ID = "1")', False), ('("CLUSTERS/ID" @> 7)', True), ('NOSUCH = "x"', False),
    ('(ID = "2" | ID = "1") & FREE_CPU > 100', True),
])
def test_requirements(expression: str, met: bool) -> None:
    assert matches(expression, HOST) is met


@pytest.mark.parametrize("expression", ['ID = "1" &', "(ID = 1", "ID"])
def test_broken_requirements(expression: str) -> None:
    with pytest.raises(BadExpression):
        matches(expression, HOST)
