"""Every recorded case the stand-in supports, played again: the same answers, driver calls, hooks and states."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import contract_life  # noqa: F401
import pytest
from contract_cases import CASES, Case
from contract_shapes import call_name, differences, plain_argv, recorded_calls, recorded_hooks
from contract_site import Call, Site


def test_the_cases(site: Site, subtests: pytest.Subtests) -> None:
    """One life, played in order: each case starts from what those before it left."""
    site.settle()
    for played in CASES.values():
        with subtests.test(played.name):
            _play(site, played)


def _play(site: Site, played: Case) -> None:
    if played.before is not None:
        played.before(site)
    site.settle()
    site.take_calls()
    site.take_events()
    played.play(site)
    site.settle()
    calls, events = site.take_calls(), site.take_events()
    _compare_calls(played, calls, str(site.location))
    noted = Counter(recorded_hooks(played.name)) - Counter(played.extra_hooks) + Counter(played.missing_hooks)
    assert Counter(event.label for event in events) == noted


def _compare_calls(played: Case, calls: list[Call], location: str) -> None:
    expected = recorded_calls(played.name)
    assert [call.name for call in calls] == [call_name(folder) for folder in expected]
    for folder, call in zip(expected, calls, strict=True):
        words = (folder / "argv.txt").read_text().splitlines()[1:]
        assert plain_argv(call.name, call.argv, location) == plain_argv(call.name, words, "$ONE_LOCATION"), folder
        _compare_data(folder, call, played)


def _compare_data(folder: Path, call: Call, played: Case) -> None:
    data = folder / "stdin.xml"
    if data.exists():
        assert differences(data.read_text(), call.xml, played.ignore) == [], folder
    else:
        assert call.stdin == "", folder
