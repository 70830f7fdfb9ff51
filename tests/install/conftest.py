"""Hypothesis: few examples in `make test`, many in `make long`, and no time limit that a busy machine would break.

Front-ends' trees are made in memory where there is room: an installation waits for the disk at each of its 400 files.
"""
from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

settings.register_profile("few", max_examples=25, deadline=None, database=None, derandomize=True)
settings.register_profile("many", max_examples=500, deadline=None, database=None)
settings.load_profile("few")  # --hypothesis-profile goes over this

_MEMORY = "/dev/shm"
_ROOM = 3 << 30  # bytes; all trees of a run and two virtual environments are 1 GiB


@pytest.hookimpl(tryfirst=True)  # before pytest reads the option
def pytest_configure(config: pytest.Config) -> None:
    if config.option.basetemp is None and _is_fit(_MEMORY):
        config.option.basetemp = tempfile.mkdtemp(prefix="onedr-install-", dir=_MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


def _is_fit(folder: str) -> bool:
    """Programs can be run from it (in containers often not), and there is room."""
    if not os.access(folder, os.W_OK):
        return False
    about = os.statvfs(folder)
    return not about.f_flag & os.ST_NOEXEC and about.f_bavail * about.f_frsize > _ROOM
