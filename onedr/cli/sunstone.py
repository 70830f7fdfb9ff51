"""`onedr sunstone`: OneDR's page in Sunstone."""
from __future__ import annotations

import sys

import click

from onedr.cli import output
from onedr.model.errors import FrontEndError, ProblemsFoundError
from onedr.opennebula.api import FrontEnd
from onedr.sunstone import run as sunstone_run


@click.group(short_help="Put the page Disaster Recovery into Sunstone.")
def sunstone() -> None:
    """The page Disaster Recovery in Sunstone 7.0 and newer; 7.4 also has a tab for each datastore and VM
    (docs/sunstone.md). On the machine that runs FireEdge, as root.
    """


@sunstone.command(short_help="Put the page into Sunstone, or bring it up to date.")
@click.option("--view", "views", multiple=True, metavar="VIEW", default=("admin",), show_default=True,
              help="A view of Sunstone whose users get the page; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
def install(views: tuple[str, ...], dry_run: bool) -> None:
    """Put the page into Sunstone, or bring it up to date. Sunstone keeps running; reload open pages."""
    sunstone_run.install(sunstone_run.folders(), views, dry_run, output.line)
    _name_other_front_ends("also run onedr sunstone install there")


@sunstone.command(short_help="Check whether the page is whole.")
@click.option("--view", "views", multiple=True, metavar="VIEW", default=("admin",), show_default=True,
              help="A view of Sunstone whose users should have the page.")
def check(views: tuple[str, ...]) -> None:
    """Check whether the page is whole. Exit code 6: something is missing, old or in Sunstone's way."""
    found = sunstone_run.look(sunstone_run.folders(), views)
    if found is None or not found.installed:
        output.line("No Sunstone is installed here." if found is None else "Sunstone has no page of OneDR.")
        return
    if found.blocking:
        output.line(f"Sunstone cannot start for anybody: {found.blocking}. To do: onedr sunstone install")
    for each in found.lacking:
        output.line(f"{each}. To do: onedr sunstone install")
    if found.blocking or found.lacking:
        sys.exit(ProblemsFoundError.exit_code)
    output.line("The page is whole.")


@sunstone.command(short_help="Take the page out of Sunstone.")
@click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
def remove(dry_run: bool) -> None:
    """Take the page out of Sunstone. A script that does nothing stays for pages that are open."""
    sunstone_run.remove(sunstone_run.folders(), dry_run, output.line)
    _name_other_front_ends("also run onedr sunstone remove there")


def _name_other_front_ends(todo: str) -> None:
    """Each front-end of an HA set serves a Sunstone of its own."""
    try:
        others = sunstone_run.other_front_ends(FrontEnd(limit_s=5))
    except FrontEndError as error:
        output.line(f"Whether this is an HA set is not known: {error} On other front-ends {todo}.", err=True)
        return
    if others:
        output.line(f"Other front-ends of this HA set: {', '.join(others)}: {todo}.")
