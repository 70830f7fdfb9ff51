"""What is installed: the project's own files, and links to the stock driver for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onedr.install import interpreter, stock
from onedr.install.paths import Paths
from onedr.model.errors import InputError, RefusedError
from onedr.model.types import DRIVER

# Linux before 5.1 reads at most 127 bytes of the first line, and the interpreter's name ends at a space.
LONGEST_INTERPRETER = 120
PLACEHOLDER = b"#!/usr/bin/env python3\n"
GUARD = "onedr-guard.service"
TIMER = "onedr-reconcile.timer"
# Each unit, and the folder of the link that `systemctl enable` would create for it.
UNITS = {
    GUARD: "opennebula.service.requires", "onedr-reconcile.service": "", TIMER: "timers.target.wants",
    "onedr-notify.service": "", "onedr-notify.timer": "",  # not enabled either (docs/notifications.md)
    "onedr-exporter.service": "",  # for those who have a Prometheus to enable (docs/metrics.md)
}
# For the monitoring of the site; nothing of OneDR reads them.
MONITORING = ("prometheus/onedr.rules.yml", "grafana/onedr.json")
_LIBRARY = Path(__file__).parents[1]
LAUNCHER = """#!{python}
import sys

from onedr.cli import main

sys.exit(main())
"""


@dataclass(frozen=True)
class TreeItem:
    """One file or link to install; `target` is set for a link."""

    path: Path
    content: bytes = b""
    executable: bool = False
    target: str = ""


@dataclass(frozen=True)
class StockLink:
    """An action that is left to the stock driver, for the report."""

    action: str
    caution: str


@dataclass(frozen=True)
class Layout:
    items: tuple[TreeItem, ...]
    linked: tuple[StockLink, ...]


def layout(source: Path, paths: Paths, python: Path) -> Layout:
    """Everything that OneDR installs below the front-end's folders."""
    if not (source / "drivers/datastore" / DRIVER).is_dir():
        raise InputError(f"{source} has no drivers, so it is not OneDR's source tree.")
    _check_interpreter(python)
    remotes = paths.remotes
    beginning = interpreter.first_lines(python)
    own = [
        *_copies(source / "drivers/datastore" / DRIVER, remotes / "datastore" / DRIVER, beginning),
        *_copies(source / "drivers/tm" / DRIVER, remotes / "tm" / DRIVER, beginning),
        *_copies(source / "hooks" / DRIVER, paths.hooks / DRIVER, beginning),
        *bridge_files(source, remotes, python),
        TreeItem(paths.etc / "onedr/onedr.conf", (source / "share/onedr.conf").read_bytes()),
        *(
            TreeItem(paths.share / "onedr" / name, (source / "share" / name).read_bytes())
            for name in MONITORING
        ),
        *_copies(source / "sunstone", paths.lib / "onedr/sunstone", b""),  # for onedr sunstone install
    ]
    taken = {item.path for item in own}
    links = [pair for pair in _stock_links(remotes) if pair[0].path not in taken]
    items = (*own, *(item for item, _ in links), *_for_people(source, paths, python), *_units(source, paths))
    _check_real_folders(items, remotes)
    return Layout(items, tuple(link for _, link in links))


def bridge_files(source: Path, remotes: Path, python: Path) -> list[TreeItem]:
    """What `onehost sync` copies to the hosts besides the drivers: the bridge program and its library."""
    beginning = b"#!" + bytes(python) + b"\n"  # the module folders on the hosts may differ
    library = _copies(_LIBRARY, remotes / "onedr/lib/onedr", beginning)
    return [*_copies(source / "remotes", remotes, beginning), *library]


def _check_interpreter(python: Path) -> None:
    if not python.is_absolute() or " " in str(python) or len(str(python)) > LONGEST_INTERPRETER:
        raise InputError(
            f"The interpreter {str(python)!r} cannot be used in a script's first line: it must be an "
            f"absolute path without spaces of at most {LONGEST_INTERPRETER} characters. Choose another one "
            "with --python."
        )


def _copies(source: Path, target: Path, beginning: bytes) -> Iterator[TreeItem]:
    for file in sorted(source.rglob("*")):
        parts = file.relative_to(source).parts
        if not file.is_file() or any(p.startswith(".") or p == "__pycache__" for p in parts):
            continue
        content = file.read_bytes()
        if content.startswith(PLACEHOLDER):
            content = beginning + content[len(PLACEHOLDER) :]
        yield TreeItem(target.joinpath(*parts), content, executable=content.startswith(b"#!"))


def _stock_links(remotes: Path) -> Iterator[tuple[TreeItem, StockLink]]:
    """A link for every file of the stock driver, including the checkpoint scripts of the hypervisors."""
    for kind in ("datastore", "tm"):
        for file in _files(remotes / kind / "ceph"):
            item = TreeItem(remotes / kind / DRIVER / file.name, target=f"../ceph/{file.name}")
            yield item, StockLink(f"{kind}/{file.name}", stock.caution(file.name))
    for file in sorted((remotes / "vmm").glob("*/*.ceph")):
        item = TreeItem(file.with_suffix(f".{DRIVER}"), target=file.name)
        yield item, StockLink(f"vmm/{file.parent.name}/{item.path.name}", stock.caution(file.name))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))


def _for_people(source: Path, paths: Paths, python: Path) -> list[TreeItem]:
    """`onedr` on the administrator's path, its man page and shell completion;
    none when a package installs them.
    """
    script = python.parent / "onedr"
    command = paths.bin / "onedr"
    if script == command:
        return []
    completion = source / "share/bash-completion/onedr"
    items = [TreeItem(paths.share / "bash-completion/completions/onedr", completion.read_bytes())]
    page = interpreter.manual(python)
    if page:
        items.append(TreeItem(paths.share / "man/man1/onedr.1", page))
    if script.exists() or not python.exists():
        return [TreeItem(command, target=str(script)), *items]
    return [TreeItem(command, LAUNCHER.format(python=python).encode(), executable=True), *items]


def _units(source: Path, paths: Paths) -> list[TreeItem]:
    """The boot guard (docs/guard.md) and the reconcile timer, both enabled."""
    if paths.units is None:
        return []
    items = []
    for name, wanted_by in UNITS.items():
        items.append(TreeItem(paths.units / name, (source / "share/systemd" / name).read_bytes()))
        if wanted_by:
            items.append(TreeItem(paths.units / wanted_by / name, target=str(paths.units / name)))
    return items


def _check_real_folders(items: tuple[TreeItem, ...], remotes: Path) -> None:
    """Refuse to write through a linked folder, because `tm/ceph_dr -> ceph` would overwrite the stock driver.
    """
    for folder in sorted({i.path.parent for i in items if i.path.is_relative_to(remotes)}):
        real = remotes.resolve() / folder.relative_to(remotes)
        if folder.exists() and folder.resolve() != real:
            raise RefusedError(
                f"{folder} is a link to {folder.resolve()}: files written there would replace those of "
                "another driver. Remove the link, then run this again."
            )
