"""A run book: facts in, chapters out, or a refusal. Pure.

What is done, and in which order, is the failover's own plan as it would be with the other site dark, whatever
is seen of it today: the book says what this site can do alone.
"""
from __future__ import annotations

from dataclasses import replace

from onedr.failover import plan as failover_plan
from onedr.failover.facts import FailoverFacts, RunPlan
from onedr.model.recovery_plan import Chosen
from onedr.model.types import PeerState
from onedr.runbook import page, storage_plan
from onedr.runbook.facts import BookFacts, Chapter
from onedr.runbook.objects_plan import Objects
from onedr.runbook.shell_text import prose
from onedr.runs.request import Request
from onedr.runs.steps import StepKind


def alone(facts: FailoverFacts) -> FailoverFacts:
    """The facts as they are once the other site is dark and fenced by hand. A recovery plan that is not to be
    trusted keeps no book from being made: the book says so.
    """
    return replace(
        facts, peer=PeerState.GONE, peer_detail="it is taken to be lost", can_fence=False, there=None,
        there_detail="", children={}, fence_command=(), fence_unknown="",
        recovery=Chosen() if facts.recovery.doubt else facts.recovery,
    )


def plan_of(facts: BookFacts) -> RunPlan:
    """The failover's plan that the book is made of. Its refusal is the book's."""
    known = alone(facts.failover)
    if known.interrupted:
        text = "A run on it was interrupted and may have made a part of the objects. Finish it first:"
        return RunPlan(f"{text} onedr resume or onedr abort.")
    return failover_plan.plan_failover(known, Request("failover", confirm=known.datastore))


def book(facts: BookFacts, plan: RunPlan) -> tuple[Chapter, ...]:
    """The chapters, in the order in which they are worked through."""
    promoted = {step.target for step in plan.steps if step.kind is StepKind.PROMOTE}
    waiting = [image for image in facts.failover.images if image.name in promoted]
    objects = Objects(facts, plan)
    made = objects.chapter()  # first: it numbers what the others name
    chapters = (
        storage_plan.fence(facts, waiting), storage_plan.release_drivers(facts),
        storage_plan.promote(facts, waiting), made, objects.snapshots(), objects.release(),
        storage_plan.afterwards(facts, waiting),
    )
    left = _left_out(facts, plan)
    return (*(left,) * bool(left.parts), *(chapter for chapter in chapters if chapter is not None))


def _left_out(facts: BookFacts, plan: RunPlan) -> Chapter:
    names = {item.origin: item.label for item in plan.vms}
    lines = [f"- {prose(names.get(what, what))}: {prose(why)}" for what, why in plan.left_out.items()]
    return Chapter("Not in this book", tuple(lines))


def lines_of(facts: BookFacts, plan: RunPlan) -> tuple[str, ...]:
    """The book as Markdown."""
    title = f"Run book: {prose(facts.failover.datastore)} at {prose(facts.site)}, made {facts.made}"
    head = (
        "",
        "Recovers this datastore at this site without OneDR, by the commands of Ceph and OpenNebula. Blocks",
        "marked `sh` are for a POSIX shell of oneadmin at this site's front-end, in this order; blocks",
        "marked `text` are for where and when the text before them says. Where OneDR works, use",
        "`onedr failover`.",
    )
    first, *rest = page.lines(title, book(facts, plan))
    return (first, *head, *rest)
