"""`sandbox`: the two-site bed from the command line. See `sandbox --help`."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from sandbox import network
from sandbox.bed import DAEMONS, Bed
from sandbox.layout import DEFAULT_BASE, SITE_NAMES
from sandbox.waiting import SandboxError

SITE = click.Choice(SITE_NAMES)


class Verbs(click.Group):
    """A group whose verbs report a SandboxError as one line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SandboxError as e:
            raise click.ClickException(str(e)) from e


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--base", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_BASE,
              show_default=True, envvar="SANDBOX_BASE",
              help="Folder of the bed; beds with different folders run side by side.")
@click.pass_context
def main(ctx: click.Context, base: Path) -> None:
    """Two sites on this machine: Ceph clusters that mirror each other, front-ends, guests."""
    ctx.obj = Bed(base)


@main.command()
@click.option("--frontends/--no-frontends", default=True, help="Also start the front-ends (default).")
@click.argument("sites", nargs=-1, type=SITE)
@click.pass_obj
def up(bed: Bed, sites: tuple[str, ...], frontends: bool) -> None:
    """Bring the bed (or some SITES) up, from any state."""
    bed.up(sites or SITE_NAMES, frontends=frontends)


@main.command()
@click.pass_obj
def down(bed: Bed) -> None:
    """End everything and remove every file."""
    bed.down()


@main.command()
@click.pass_obj
def status(bed: Bed) -> None:
    """What runs; exit code 1 when some daemon is down."""
    missing = False
    for name, site in bed.status().items():
        click.echo(f"{name} {site['address']} netns {site['netns']} line {'cut' if site['cut'] else 'ok'}")
        for daemon, pid in site["daemons"].items():
            click.echo(f"  {daemon:<9}{'down' if pid is None else f'pid {pid}'}")
            missing = missing or pid is None
        click.echo(f"  guests   {site['guests']}")
    sys.exit(1 if missing else 0)


@main.command()
@click.argument("site", type=SITE, required=False)
@click.pass_obj
def env(bed: Bed, site: str | None) -> None:
    """Shell exports for eval: all of SITE, else CEPH_SITE_A, CEPH_SITE_B, ONE_SITE_A, ONE_SITE_B."""
    sites = bed.sites
    if site:
        exports = sites[site].environment()
    else:
        exports = {}
        for name, where in sites.items():
            word = name.upper().replace("-", "_")
            exports[f"CEPH_{word}"] = str(where.ceph_conf)
            exports[f"ONE_{word}"] = where.endpoint
    for key, value in exports.items():
        click.echo(f"export {key}={value}")


@main.command()
@click.argument("site", type=SITE)
@click.pass_obj
def kill(bed: Bed, site: str) -> None:
    """SIGKILL every process of SITE: daemons, front-end, hooks, guests, drivers."""
    click.echo(f"{bed.kill(site)} processes of {site} killed")


@main.command()
@click.argument("site", type=SITE)
@click.argument("daemons", nargs=-1, required=True, type=click.Choice(DAEMONS))
@click.pass_obj
def start(bed: Bed, site: str, daemons: tuple[str, ...]) -> None:
    """Start DAEMONS of SITE."""
    for daemon in daemons:
        bed.start(site, daemon)


@main.command()
@click.argument("site", type=SITE)
@click.argument("daemons", nargs=-1, required=True, type=click.Choice(DAEMONS))
@click.pass_obj
def stop(bed: Bed, site: str, daemons: tuple[str, ...]) -> None:
    """Stop DAEMONS of SITE in good order."""
    for daemon in daemons:
        bed.stop(site, daemon)


@main.command()
@click.argument("site", type=SITE)
@click.pass_obj
def freeze(bed: Bed, site: str) -> None:
    """SIGSTOP everything of SITE: it no longer answers, nor resets its connections."""
    bed.freeze(site)


@main.command()
@click.argument("site", type=SITE)
@click.pass_obj
def thaw(bed: Bed, site: str) -> None:
    """Undo freeze."""
    bed.thaw(site)


@main.command()
@click.pass_obj
def cut(bed: Bed) -> None:
    """Cut the line between the sites, silently."""
    bed.cut()


@main.command()
@click.pass_obj
def heal(bed: Bed) -> None:
    """Undo cut."""
    bed.heal()


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("site", type=SITE)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_(bed: Bed, site: str, argv: tuple[str, ...]) -> None:
    """Run a command inside SITE: `sandbox exec site-a -- onevm list`."""
    where = bed.sites[site]
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", **where.environment()}
    sys.exit(subprocess.run(network.inside(where, list(argv)), env=environment).returncode)
