"""Reports on this front-end, in var/onedr/reports: the newest page of the night, and what the last report
saw of each datastore, for the changes since.
"""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from onedr.host import log, paths
from onedr.host.atomic_file import write_atomically
from onedr.model.json_form import from_json, parsed
from onedr.runs.answer_events import ReportEvent

_MODE = 0o640  # names of VMs are in it


def folder() -> Path:
    """Where they lie."""
    return paths.front_end_paths().state / "reports"


def page_path(datastore_id: int) -> Path:
    """The page of the night of a datastore."""
    return folder() / f"{datastore_id}.html"


def last(datastore_id: int) -> ReportEvent | None:
    """What the last report saw; None when there was none, or it cannot be read, which is logged."""
    path = _path(datastore_id)
    try:
        return from_json(ReportEvent, parsed(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning(f"{path} cannot be read: {type(error).__name__}: {error}")
        return None


def keep(datastore_id: int, report: ReportEvent) -> None:
    """Note what this report saw. Raises OSError."""
    runs = {name: {"result": run.get("result", "")} for name, run in report.runs.items()}
    _write(_path(datastore_id), json.dumps(replace(report, ages=(), runs=runs).to_json()).encode())


def keep_page(datastore_id: int, page: bytes) -> Path:
    """Replace the page of the night. Returns its path. Raises OSError."""
    path = page_path(datastore_id)
    _write(path, page)
    return path


def _path(datastore_id: int) -> Path:
    return folder() / f"{datastore_id}.json"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    write_atomically(path, data, _MODE)
