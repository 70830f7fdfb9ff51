"""A run book worked through as a person would: its blocks pasted into a shell, with OneDR's own programs gone."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from beds import REAL

from sandbox.cloud import Cloud
from sandbox.layout import REPO

_LIMIT_S = 400
_PARTS = ("datastore/ceph_dr", "tm/ceph_dr", "hooks/ceph_dr")
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.S | re.M)
_OTHER = re.compile(r"^```text\n(.*?)^```$", re.S | re.M)
# The stand-in has no client of its own: OpenNebula's Ruby client is in no registry.
_COMMANDS = REPO / "sandbox" / "commands"


def blocks(book: str) -> list[str]:
    """What is to be run here, in order."""
    return _BLOCK.findall(book)


def elsewhere(book: str) -> list[str]:
    """What is to be run at another site or moment, in order."""
    return _OTHER.findall(book)


def remove_onedr(cloud: Cloud, aside: Path) -> None:
    """Nothing of OneDR is left where oned, its hook manager or a shell would find it."""
    for name in _PARTS:
        target = aside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(cloud.one_location / "var" / "remotes" / name, target)


def put_back(cloud: Cloud, aside: Path) -> None:
    """Undo `remove_onedr`."""
    for name in _PARTS:
        shutil.move(aside / name, cloud.one_location / "var" / "remotes" / name)


def paste(cloud: Cloud, home: Path, script: str) -> str:
    """Run commands in a shell of oneadmin at a site. Returns all that they printed."""
    own = cloud.process_environment()
    path = own["PATH"] if REAL else f"{_COMMANDS}:{own['PATH']}"
    env = {**os.environ, **own, "PATH": path, "HOME": str(home)}
    done = subprocess.run(
        [*cloud.prefix, "sh"], input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        timeout=_LIMIT_S,
    )
    return done.stdout
