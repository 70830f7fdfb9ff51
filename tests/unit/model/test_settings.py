"""DR_ attributes: defaults, every form, and all problems in one message."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import settings
from onedr.model.errors import InputError
from onedr.model.types import CephAccess, Mode, Settings


def read(**attributes: str) -> Settings:
    return settings.read_settings(tuple(attributes.items()), "ceph")


def test_without_attributes_nothing_is_protected() -> None:
    assert read() == Settings()
    assert not read().protect


def test_every_attribute_is_read() -> None:
    found = read(
        DR_PROTECT="yes",
        DR_MODE="snapshot",
        DR_RPO="1h",
        DR_SCHEDULE="15m",
        DR_CLONES="Flatten",
        DR_SITE="north",
        DR_SITE_INDEX="2",
        DR_NETWORK_MAP="lan=dr-lan, web = dr web",
        DR_PEER_CEPH_CONF="/etc/ceph/peer.conf",
        DR_PEER_CEPH_USER="onedr",
        POOL_NAME="one",
        DR_PEER_DATASTORE="ceph-b",
        DR_POINT_EVERY="5m",
        DR_POINTS="3x5m, 2x1d",
        DR_POINT_STALL="4s",
        DR_CONSISTENCY="datastore",
    )
    assert found == Settings(
        protect=True,
        mode=Mode.SNAPSHOT,
        rpo_s=3600,
        schedule="15m",
        flatten_clones=True,
        site="north",
        site_index=2,
        network_map=(("lan", "dr-lan"), ("web", "dr web")),
        peer=CephAccess("one", "onedr", "/etc/ceph/peer.conf"),
        peer_datastore="ceph-b",
        point_every_s=300,
        point_rules=((3, 300), (2, 86400)),
        point_stall_s=4,
        point_of_all=True,
    )


def test_a_window_of_the_day_and_how_many_outside() -> None:
    found = read(DR_COPY_WINDOW="22:00-6:30", DR_COPY_OUTSIDE="0")
    assert (found.copy_window, found.copies_outside) == ((22 * 60, 6 * 60 + 30), 0)
    assert (read().copy_window, read().copies_outside) == (None, 1)


@pytest.mark.parametrize("attributes", [
    {"DR_COPY_WINDOW": text} for text in ("22-6", "24:00-01:00", "10:60-11:00", "10:00-10:00", "night", "22:00-06:00\n1")
] + [{"DR_COPY_OUTSIDE": text} for text in ("-1", "few", "1.5", "\u0661")])
def test_another_window_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(InputError, match=next(iter(attributes))):
        read(**attributes)


def test_snapshot_mode_gets_a_schedule_and_journal_mode_does_not() -> None:
    assert read(DR_MODE="SNAPSHOT").schedule == settings.DEFAULT_SCHEDULE
    assert read(DR_MODE="SNAPSHOT", DR_SCHEDULE="1h").schedule == "1h"
    assert read(DR_MODE="JOURNAL").schedule == ""


def test_all_problems_are_told_at_once_with_the_value_and_what_would_do() -> None:
    bad = {
        "DR_PROTECT": "maybe", "DR_MODE": "ASYNC", "DR_RPO": "soon", "DR_SCHEDULE": "5s", "DR_CLONES": "BOTH",
        "DR_SITE_INDEX": "3", "DR_NETWORK_MAP": "lan",
    }
    with pytest.raises(InputError) as caught:
        read(**bad)
    message = str(caught.value)
    for key, value in bad.items():
        assert f"{key}: {value!r}" in message
    for hint in (
        "YES nor NO",
        "JOURNAL nor SNAPSHOT",
        "PARENT nor FLATTEN",
        "15m",
        "5m, 1h, 1d",
        "(0, 1 or 2)",
        "here",
    ):
        assert hint in message
    assert "onedatastore update ceph" in message


def test_a_good_attribute_is_not_named_among_the_problems() -> None:
    with pytest.raises(InputError) as caught:
        read(DR_RPO="15m", DR_MODE="x")
    assert "DR_RPO" not in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("90s", 90), ("15m", 900), (" 1H ", 3600), ("2 d", 172800), ("0", 0),
])
def test_durations(text: str, seconds: int) -> None:
    assert settings.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "1.5h", "5 min", "1h30m", "٣m", "1w"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        settings.duration(text)


WORDS = (
    st.text(st.characters(categories=("L", "N"), include_characters=" -_."), min_size=1)
    .map(str.strip)
    .filter(bool)
)


MAPS = st.lists(st.tuples(WORDS, WORDS), max_size=5, unique_by=lambda pair: pair[0])


@given(MAPS, st.sampled_from([",", ";", "\n", " , ", ",,"]))
def test_a_network_map_survives_every_separator(pairs: list[tuple[str, str]], separator: str) -> None:
    assert settings.network_map(separator.join(f"{there} = {here}" for there, here in pairs)) == tuple(pairs)


def test_a_network_mapped_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="mapped twice"):
        settings.network_map("a=b,a=c")


@pytest.mark.parametrize("text", ["90", "90s", "0m", "1w", "5 m"])
def test_a_schedule_ceph_does_not_take_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="DR_SCHEDULE"):
        read(DR_SCHEDULE=text)


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a=b,c", "a=b,=c"])
def test_half_an_entry_is_no_network_map(text: str) -> None:
    with pytest.raises(ValueError, match="network-there=network-here"):
        settings.network_map(text)


@pytest.mark.parametrize("index", ["-1", "3", "1.0", "x", "²", "1 1"])
def test_a_site_index_is_0_1_or_2(index: str) -> None:
    with pytest.raises(InputError, match="DR_SITE_INDEX"):
        read(DR_SITE_INDEX=index)


@pytest.mark.parametrize(("datastore", "image", "vm", "wanted"), [
    ("YES", "", "", True), ("YES", "YES", "YES", True), ("YES", "NO", "", False), ("YES", "", "no", False),
    ("NO", "YES", "YES", False), ("YES", "NO", "YES", False),
])
def test_an_image_or_vm_can_step_out_of_protection_and_not_into_it(
    datastore: str, image: str, vm: str, wanted: bool
) -> None:
    own = ((("DR_PROTECT", image),), (("DR_PROTECT", vm),))
    assert settings.wants_protection(read(DR_PROTECT=datastore), *own) is wanted


@pytest.mark.parametrize(("text", "names"), [
    ("licence", {"LICENCE"}), (" A_1, b;c\nd ", {"A_1", "B", "C", "D"}), (",", set()),
])
def test_names_of_attributes_are_in_capitals(text: str, names: set[str]) -> None:
    assert read(DR_SECRET_ATTRS=text).secret_attrs == names


@pytest.mark.parametrize("text", ["a=b", "1A", "A/B", "$X", "A" * 101])
def test_what_cannot_be_a_name_of_an_attribute_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="DR_SECRET_ATTRS"):
        read(DR_SECRET_ATTRS=text)


@pytest.mark.parametrize("text", ["5m", "0x5m", "12x0s", "12x5m;7", "201x5m", "150x5m,51x1h", "x", ","])
def test_which_points_stay_is_spans_of_some_time(text: str) -> None:
    with pytest.raises(InputError, match="DR_POINTS"):
        read(DR_POINTS=text)


@pytest.mark.parametrize("text", ["9s", "0", "often"])
def test_points_are_taken_every_ten_seconds_or_less_often(text: str) -> None:
    with pytest.raises(InputError, match="DR_POINT_EVERY"):
        read(DR_POINT_EVERY=text)
