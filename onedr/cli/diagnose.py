"""`onedr diagnose`: a bundle for support, without secrets."""
from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from lxml import etree

from onedr.cli import output, run_action
from onedr.model.errors import OneDRError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs.request import Request
from onedr.support import bundle

_VERBS = ("status", "observe", "check", "history", "kept", "snapshots", "map")


@click.command(short_help="Write a bundle for support, no secrets in it.")
@click.option(
    "--output", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Default: onedr-diagnose-TIME.tar.gz in the current folder.",
)
def diagnose(target: Path | None) -> None:
    """Write states, what the records say, journals, findings, configuration, versions and the log into an
    archive that only you may read. Read-only otherwise.

    Passwords, keys and tokens are taken out (docs/diagnose.md). Names of VMs, users and hosts stay: look at
    it before you hand it on.
    """
    target = target or Path(time.strftime("onedr-diagnose-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    files = {**bundle.own_files(), **_front_end()}
    bundle.write_bundle(target, files, bundle.known_secrets())
    output.line(f"{target}: {len(files)} files. Look at it before you hand it on.")


def _front_end() -> dict[str, str]:
    """What oned shows of our datastores, and what each verb that only looks says of them."""
    try:
        frontend = FrontEnd(limit_s=15)
        elements = datastores.elements(frontend)
        release = frontend.release()
    except OneDRError as error:
        return {"front-end.txt": f"{error}\n"}
    files = {"front-end.txt": f"OpenNebula {release}\n"}
    asked = []
    for element in elements:
        name = f"datastore-{element.findtext('ID')}"
        files[f"{name}/datastore.xml"] = etree.tostring(element, encoding="unicode", pretty_print=True)
        asked += [(f"{name}/{verb}.json", str(element.findtext("ID")), verb) for verb in _VERBS]
    with ThreadPoolExecutor(4) as pool:
        return {**files, **dict(pool.map(_ask, asked))}


def _ask(asked: tuple[str, str, str]) -> tuple[str, str]:
    name, datastore, verb = asked
    lines: list[str] = []
    try:
        lines.extend(_lines(datastore, verb))
    except OneDRError as error:
        lines.append(json.dumps({"error": str(error), "code": error.word}))
    return name, "\n".join(lines) + "\n"


def _lines(datastore: str, verb: str) -> Iterable[str]:
    for event in run_action.events(datastore, Request(verb)):
        yield json.dumps(event.to_json(), indent=1)
