"""Putting OneDR's page into Sunstone and taking it out; looking whether it is whole."""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onedr.host import edited_file, trusted_folder
from onedr.host.atomic_file import write_atomically
from onedr.host.paths import front_end_paths
from onedr.host.release import installed_release, series
from onedr.model.errors import InputError, OneDRError, RefusedError
from onedr.opennebula.api import FrontEnd
from onedr.sunstone import wanted_rules, whole_rules
from onedr.sunstone.wanted_rules import KNOWN, MODULE, FileChange, Found
from onedr.sunstone.whole_rules import Wholeness

_CONFIGURATION = (  # below etc/fireedge/sunstone
    wanted_rules.REMOTES, wanted_rules.MANIFEST, "tabs/onedr-tab.yaml", "views/*/onedr-tab.yaml",
    "views/*/datastore-tab.yaml", "views/*/vm-tab.yaml",
)


@dataclass(frozen=True)
class SunstoneFolders:
    """`etc`: Sunstone's configuration; `modules`: the scripts that FireEdge serves; `source`: ours, as
    install.sh laid them; `remotes`: the drivers' folder, which names the release.
    """

    etc: Path
    modules: Path
    source: Path
    remotes: Path

    @property
    def module(self) -> Path:
        return self.modules / MODULE

    def path(self, change: FileChange) -> Path:
        return (self.module if change.module else self.etc) / change.name


def folders() -> SunstoneFolders:
    """Those of this front-end."""
    known, location = front_end_paths(), os.environ.get("ONE_LOCATION")
    lib = Path(location) / "lib" if location else Path("/usr/lib/one")
    return SunstoneFolders(
        known.etc / "fireedge/sunstone", lib / "fireedge/dist/modules", lib / "onedr/sunstone", known.remotes)


def install(where: SunstoneFolders, views: Sequence[str], dry_run: bool, say: Callable[[str], None]) -> None:
    """Put the page into Sunstone, or bring it up to date; `say` gets lines for the administrator.

    Raises InputError, RefusedError before anything is changed; OSError, OneDRError.
    """
    found = _found(where)
    if found.series not in KNOWN:
        raise RefusedError(
            f"The release of OpenNebula is {found.series or 'unknown'}; OneDR's page was made for "
            f"Sunstone {', '.join(KNOWN)}. Nothing was changed. The command onedr does all that it does."
        )
    if not found.source:
        raise InputError(f"There are no scripts in {where.source}. Run install.sh of this OneDR first.")
    for view in views:
        if not re.fullmatch(r"[\w-]+", view) or not (where.etc / "views" / view).is_dir():
            raise InputError(f"Sunstone has no view {view!r} (no folder {where.etc / 'views' / view}).")
    _apply(where, wanted_rules.to_install(found, views), dry_run, say)
    if dry_run:
        return
    seen = whole_rules.judge_whole(_found(where), tuple(views))
    if seen.blocking or seen.lacking:
        raise OneDRError(
            f"These files changed meanwhile: {'; '.join(filter(None, (seen.blocking, *seen.lacking)))}. "
            "Check whether another program changes them, then run this again."
        )
    say(f"Sunstone {found.series} has the page Disaster Recovery ({found.tag}). Reload open pages.")
    if not found.has_detail_tabs:
        say("The tabs in the details of a datastore and of a VM need Sunstone 7.4.")


def remove(where: SunstoneFolders, dry_run: bool, say: Callable[[str], None]) -> None:
    """Take the page out. A script that does nothing stays. Raises InputError, OSError."""
    _apply(where, wanted_rules.to_remove(_found(where)), dry_run, say)
    if not dry_run:
        stub = where.module / wanted_rules.ENTRY
        say(f"Sunstone has no page of OneDR. {stub} stays as a stub for pages that are open.")


def look(where: SunstoneFolders, views: Sequence[str] = ("admin",)) -> Wholeness | None:
    """Whether the page is whole; None where there is no Sunstone. Raises OSError, InputError."""
    return whole_rules.judge_whole(_found(where), tuple(views)) if where.etc.is_dir() else None


def other_front_ends(front_end: FrontEnd) -> list[str]:
    """Names of the other servers of an HA set, which each need the page too. Raises FrontEndError."""
    configuration = front_end.configuration()
    own = configuration.findtext("FEDERATION/SERVER_ID") or "-1"
    zone = front_end.zone(int(configuration.findtext("FEDERATION/ZONE_ID") or 0))
    return [
        f"{server.findtext('NAME')} ({server.findtext('ENDPOINT')})"
        for server in zone.iterfind("SERVER_POOL/SERVER") if server.findtext("ID") != own
    ]


def _found(where: SunstoneFolders) -> Found:
    if not where.etc.is_dir() or not where.modules.is_dir():
        missing = where.modules if where.etc.is_dir() else where.etc
        raise InputError(
            f"There is no folder {missing}: no Sunstone (FireEdge) of 7.0 or newer is installed here. Run "
            "this on the front-end that has it."
        )
    names = sorted({path for pattern in _CONFIGURATION for path in where.etc.glob(pattern)})
    return Found(
        series(installed_release(where.remotes)),
        {str(path.relative_to(where.etc)): _read(path) for path in names},
        _scripts(where.module), _scripts(where.source), str(where.etc), str(where.module),
    )


def _scripts(folder: Path) -> dict[str, bytes]:
    return {path.name: _read(path) for path in sorted(folder.glob("*.js"))}


def _read(path: Path) -> bytes:
    return trusted_folder.read_file(trusted_folder.real_path(path))[0]


def _apply(
    where: SunstoneFolders, changes: Sequence[FileChange], dry_run: bool, say: Callable[[str], None]
) -> None:
    for change in changes:
        path = where.path(change)
        if dry_run and not change.module:
            for line in edited_file.diff(path, change.before or b"", change.after or b"").splitlines():
                say(line)
        else:
            verb = "remove" if change.after is None else "write" if change.before is None else "change"
            say(f"{verb:7}{path}")
        if not dry_run:
            _write(where, path, change)
    if not changes:
        say("Nothing to change.")


def _write(where: SunstoneFolders, path: Path, change: FileChange) -> None:
    """One file, as it was planned. Raises RefusedError where another program changed it meanwhile."""
    if change.after is None:
        trusted_folder.remove_file(path)
    elif change.ours:
        like = where.modules if change.module else where.etc / wanted_rules.REMOTES
        with trusted_folder.open_folder(like.parent) as folder:
            status = os.stat(like.name, dir_fd=folder, follow_symlinks=False)
        trusted_folder.make_folder(path.parent, 0o755)
        mode = 0o644 if change.module else status.st_mode & 0o777
        write_atomically(path, change.after, mode, (status.st_uid, status.st_gid), edited_file.UNFINISHED)
    else:
        after = change.after
        edit = edited_file.read_edit(path, lambda *_: after)
        if edit.before != change.before:
            raise RefusedError(f"{path} was changed by another program meanwhile. Run this again.")
        edited_file.write_edit(edit)
        edited_file.drop_backup(edit)
