"""Was each VM of the peer created here lately, as a rehearsal, and what came of it?"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from onedr.check.facts import CheckFacts, CheckResult, Rehearsals, known, ok, problem, warn
from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.text import first_few
from onedr.protection.rehearsal_rules import OLD_S
from onedr.replication.inventory import VmItem, standing_by


def rehearsal(facts: CheckFacts) -> Iterator[CheckResult]:
    """A failed or an old one is a problem; one that was never made is none while rehearsals are off."""
    found = known(facts.rehearsals)
    again = f"onedr check {facts.datastore} --rehearse"
    if found.left:
        yield warn(f"{found.left} object(s) of a rehearsal are still here", again)
    items = standing_by(known(facts.images), known(facts.here.fsid))
    if not items:
        yield ok("no VM of the peer is to be rehearsed here")
        return
    told = [*_refused(items, found, again), *_late(items, found, facts.settings.rehearse, again)]
    yield from told
    if not told:
        yield ok(_good(items, found))


def _refused(items: Sequence[VmItem], found: Rehearsals, again: str) -> Iterator[CheckResult]:
    for item in items:
        last = found.results.get(item.origin)
        if last is not None and last.result is Result.REFUSED:
            yield problem(f"{item.label} would not be accepted here: {last.why}", again)
        elif last is not None and last.result is Result.NOT_TRIED:
            yield warn(f"{item.label} could not be rehearsed: {last.why}", again)


def _late(items: Sequence[VmItem], found: Rehearsals, wanted: bool, again: str) -> Iterator[CheckResult]:
    never = [item.label for item in items if item.origin not in found.results]
    old = [
        item.label for item in items
        if (last := found.results.get(item.origin)) is not None and _is_old(last, found.now)
    ]
    if old:
        yield problem(f"{len(old)} VM(s) were not rehearsed for three days: {first_few(old)}", again)
    if never and wanted:
        yield warn(f"{len(never)} VM(s) were not rehearsed yet: {first_few(never)}", again)


def _is_old(last: Rehearsed, now: float) -> bool:
    return not 0 <= now - last.at <= OLD_S


def _good(items: Sequence[VmItem], found: Rehearsals) -> str:
    rehearsed = [found.results[item.origin] for item in items if item.origin in found.results]
    if not rehearsed:
        return "rehearsals are off (DR_REHEARSE=NO), and none was made"
    differ = sum(1 for last in rehearsed if last.differences)
    more = f"; {differ} with differences (onedr status)" if differ else ""
    return f"{len(rehearsed)} of {len(items)} VM(s) were accepted in their last rehearsal{more}"
