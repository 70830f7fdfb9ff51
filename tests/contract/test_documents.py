"""Documents as OneDR uses them: a part at a time, read by some, changed by no one else.

What is expected here was seen of a real oned 7.4.0 too: tests/bed/test_failover_refusals.py with FRONTEND=real.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyone
import pytest
from contract_site import OWNER, Site, running_site

from onedr.document.place import Place
from onedr.model.errors import FrontEndError
from onedr.opennebula import documents
from onedr.opennebula.api import FrontEnd

MARKUP = json.dumps({"name": "]]> <b>&amp;\"' \u202e ünï \n\t", "rows": list(range(40_000))})


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("documents")) as made:
        yield made


@pytest.fixture(scope="module")
def people(clean: Site) -> dict[str, Any]:
    """Ann owns datastore 102, Ines is of its group, Otto of neither."""
    one = clean.one
    group = one.group.allocate("operators")
    groups = {"ann": [], "ines": [group], "otto": []}
    users = {name: one.user.allocate(name, "secret", "core", groups[name]) for name in groups}
    one.datastore.chown(102, users["ann"], group)
    return {name: pyone.OneServer(clean.endpoint, session=f"{name}:secret") for name in users}


def frontend(site: Site) -> FrontEnd:
    return FrontEnd(site.endpoint, OWNER)


def put(site: Site, known: int | None, **parts: str) -> int:
    found = Place(102, frontend(site)).put(known, parts, True)
    assert found is not None
    return found


@pytest.fixture
def document(clean: Site, people: dict[str, Any]) -> int:
    clean.one.datastore.chmod(102, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    return put(clean, None, STATUS=MARKUP)


def test_parts_come_back_as_they_were_and_keep_each_other(clean: Site, document: int) -> None:
    assert put(clean, document, RUN="null") == document
    found = clean.one.document.info(document)
    assert (found.NAME, int(found.TYPE), found.TEMPLATE) == ("onedr-102", documents.TYPE, {"STATUS": MARKUP, "RUN": "null"})
    assert clean.one.datastore.info(102).TEMPLATE["DR_DOCUMENT"] == str(document)


def test_the_owner_reads_and_does_not_change_it(document: int, people: dict[str, Any]) -> None:
    ann = people["ann"]
    assert json.loads(ann.document.info(document).TEMPLATE["STATUS"]) == json.loads(MARKUP)
    changes: list[Callable[[], Any]] = [
        lambda: ann.document.update(document, "STATUS=forged", 1), lambda: ann.document.delete(document),
        lambda: ann.document.chmod(document, 1, 1, 0, 1, 0, 0, 1, 0, 0), lambda: ann.document.rename(document, "x"),
        lambda: ann.document.chown(document, -1, 1), lambda: ann.document.lock(document, 4, False),
    ]
    for change in changes:
        with pytest.raises(pyone.OneAuthorizationException):
            change()


def test_the_group_reads_it_where_it_may_act(clean: Site, document: int, people: dict[str, Any]) -> None:
    for name in ("ines", "otto"):
        with pytest.raises(pyone.OneAuthorizationException, match=r"Not authorized to perform USE DOCUMENT \["):
            people[name].document.info(document)
    clean.one.datastore.chmod(102, 1, 1, 0, 1, 1, 0, 1, 0, 0)
    put(clean, document, RUN="null")
    assert people["ines"].document.info(document).NAME == "onedr-102"
    with pytest.raises(pyone.OneAuthorizationException, match="MANAGE DOCUMENT"):
        people["ines"].document.update(document, "STATUS=forged", 1)
    with pytest.raises(pyone.OneAuthorizationException):
        people["otto"].document.info(document)


def test_one_that_is_gone_or_anothers_is_told_from_ours(clean: Site, document: int) -> None:
    other = clean.one.document.allocate("NAME=onedr-102", 100)
    assert [documents.is_of(102, frontend(clean), each) for each in (document, other, 4711)] == [True, False, False]
    documents.remove(document, frontend(clean))
    documents.remove(document, frontend(clean))
    assert not documents.is_of(102, frontend(clean), document)
    assert put(clean, document, RUN="null") not in (document, other)


def test_a_locked_one_is_not_written_and_says_so(clean: Site, document: int) -> None:
    clean.one.document.lock(document, 4, False)
    with pytest.raises(FrontEndError, match="locked"):
        put(clean, document, RUN="null")
    clean.one.document.unlock(document)
    put(clean, document, RUN="null")
