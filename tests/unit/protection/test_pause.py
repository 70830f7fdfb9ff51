"""Which pools a pause is about, and when it is refused."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from samples import image

from onedr.ceph import mirroring
from onedr.model.errors import RefusedError
from onedr.protection import pause
from onedr.replication import image_facts

TARGET: Any = SimpleNamespace(name="ceph")
HERE, THERE = SimpleNamespace(site="here"), SimpleNamespace(site="there")
OWN, COPY = image("one-1", primary=True), image("one-2")


@pytest.mark.parametrize(("images", "every", "expected"), [
    ([OWN], False, [THERE]), ([COPY], False, [HERE]), ([OWN, COPY], False, [HERE, THERE]),
    ([OWN], True, [HERE, THERE]), ([COPY], True, [HERE, THERE]),
])
def test_the_pools_that_take_copies_are_paused_and_both_go_on(
    monkeypatch: pytest.MonkeyPatch, images: list[Any], every: bool, expected: list[Any]
) -> None:
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: images)
    here, there = HERE, THERE
    assert pause._receivers(here, there, "", TARGET, every) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("every", [True, False])
def test_without_the_peer_only_a_site_that_takes_copies_can_do_it(
    monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    here: Any = HERE
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: [COPY])
    assert pause._receivers(here, None, "it is silent", TARGET, every) == [HERE]
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: [OWN])
    with pytest.raises(RefusedError, match="it is silent.*run it there"):
        pause._receivers(here, None, "it is silent", TARGET, every)
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: [image("one-3", mode=None, primary=True)])
    with pytest.raises(RefusedError, match="Nothing of ceph is mirrored"):
        pause._receivers(here, None, "", TARGET, every)


def test_a_pool_with_images_of_others_is_not_paused_nor_one_whose_run_was_interrupted(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = SimpleNamespace(interrupted=None)
    pool: Any = HERE
    monkeypatch.setattr(image_facts, "of_datastore", lambda *_: [OWN])
    monkeypatch.setattr(mirroring, "roles", lambda _: {"one-1": True})
    pause._refuse_pause(run, pool, TARGET)
    monkeypatch.setattr(mirroring, "roles", lambda _: {"one-1": True, "one-9": False})
    with pytest.raises(RefusedError, match="of others too: one-9") as refused:
        pause._refuse_pause(run, pool, TARGET)
    assert "one-9" not in refused.value.public
    run.interrupted = SimpleNamespace(verb="move")
    with pytest.raises(RefusedError, match="The last move was interrupted"):
        pause._refuse_pause(run, pool, TARGET)
