"""Setting options in onedr.conf: what is set is read, and nothing else changes."""
from __future__ import annotations

import configparser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from onedr.host.config_text import with_options

SAMPLE = (Path(__file__).parents[3] / "share/onedr.conf").read_text()
VALUES = {"endpoint": "https://b/RPC2", "auth": "/etc/one/onedr/peer_auth", "insecure": ""}


def parsed(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_the_sample_gets_each_line_below_its_example() -> None:
    text = with_options(SAMPLE, "peer", VALUES)
    added = [line for line in text.splitlines() if line not in SAMPLE.splitlines()]
    assert added == ["endpoint = https://b/RPC2", "auth = /etc/one/onedr/peer_auth"]
    lines = text.splitlines()
    assert lines[lines.index(added[0]) - 1] == "#endpoint = https://front-end-b/RPC2"
    assert lines[lines.index(added[1]) - 1] == "#auth = /etc/one/onedr/peer_auth"
    assert with_options(text, "peer", VALUES) == text
    assert with_options(text, "peer", dict.fromkeys(VALUES, "")) == SAMPLE


def test_a_file_without_the_section_or_without_anything_gets_it() -> None:
    assert parsed(with_options("", "peer", VALUES)) == {"peer": {k: v for k, v in VALUES.items() if v}}
    assert with_options("[fence]\nlimit_s = 5\n", "peer", VALUES).startswith("[fence]\nlimit_s = 5\n\n[peer]\n")
    assert with_options("[fence]\n", "peer", {"endpoint": ""}) == "[fence]\n"


def test_a_value_of_several_lines_is_replaced_whole() -> None:
    before = "[peer]\nendpoint = https://old/\n  RPC2\nauth = /x\n[fence]\nlimit_s = 5\n"
    after = parsed(with_options(before, "peer", {"endpoint": "https://b/RPC2"}))
    assert after == {"peer": {"endpoint": "https://b/RPC2", "auth": "/x"}, "fence": {"limit_s": "5"}}


names = st.sampled_from(["peer", "fence", "limits"])
keys = st.sampled_from(["endpoint", "auth", "insecure", "command", "Endpoint2"])
words = st.from_regex(r"[a-z/:#;=\[\]]{1,12}", fullmatch=True)
lines = st.one_of(
    st.just(""), words.map(lambda word: f"# {word}"), keys.map(lambda key: f"#{key} = an example"),
)


@st.composite
def files(draw: st.DrawFn) -> str:
    text = ""
    for name in draw(st.lists(names, unique=True)):
        text += f"[{name}]\n"
        for key in draw(st.lists(keys, unique=True)):
            text += "".join(f"{line}\n" for line in draw(st.lists(lines, max_size=2)))
            text += f"{key} = {draw(words)}\n"
    return text


@given(files(), names, st.dictionaries(keys, st.one_of(st.just(""), words), max_size=3))
def test_what_is_set_is_read_and_the_rest_is_as_before(text: str, section: str, values: dict[str, str]) -> None:
    after, before = parsed(with_options(text, section, values)), parsed(text)
    changed = {key.lower(): value for key, value in values.items()}
    kept = {key: value for key, value in before.get(section, {}).items() if key not in changed}
    wanted = {**before, section: {**kept, **{key: value for key, value in changed.items() if value}}}
    if section not in before and not wanted[section]:
        del wanted[section]
    assert after == wanted
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in with_options(text, section, values).splitlines() if line.startswith("#")] == comments
