"""What is noted on a preserved copy: read as this release and as earlier ones wrote it."""
from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from samples import MetadataImage

from onedr.replication.preserved_copies import KEY, copies_of

NOTED = {"image": "one-1", "vm": "db (4)", "site": "south", "taken": 5.0, "expires": 9.0, "loss_s": None}


def noted(values: dict[str, Any]) -> Any:
    image = MetadataImage(values={KEY: json.dumps(values)})
    image.size = lambda: 1024  # type: ignore[attr-defined]

    @contextmanager
    def opened(_: str, read_only: bool = False) -> Any:
        yield image

    return copies_of(SimpleNamespace(image=opened), "onedr-kept-one-1-x")  # type: ignore[arg-type]


def test_one_of_an_earlier_release_is_of_no_point() -> None:
    assert noted(NOTED).point == "" and noted(NOTED).size == 1024


def test_one_of_a_disk_that_was_taken_back_names_the_point() -> None:
    assert noted({**NOTED, "point": ".group.2_a_b"}).point == ".group.2_a_b"


def test_what_is_damaged_is_no_copy() -> None:
    assert noted({**NOTED, "taken": "soon"}) is None
