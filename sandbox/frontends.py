"""The front-end of a site: its tree, the project's drivers in it, the stand-in oned and its hook process."""
from __future__ import annotations

import http.client
import importlib.util
import os
import subprocess
import sys
import xmlrpc.client
from pathlib import Path

from sandbox import processes
from sandbox.layout import REPO, Site
from sandbox.network import NAMESPACES, inside
from sandbox.waiting import SandboxError, until

PORT = 2633
COMMANDS = {"frontend": "sandbox.frontend", "hooks": "sandbox.frontend.hooks.process"}
INSTALLER = REPO / "install.sh"


def available(module: str = "sandbox.frontend.tree") -> bool:
    """Whether a program of the stand-in front-end is part of this checkout."""
    try:
        found = importlib.util.find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = importlib.util.find_spec(f"{module}.__main__")
        return found is not None
    except ModuleNotFoundError:
        return False


def up(site: Site) -> None:
    """Front-end and hook process of the site, from nothing or from what a loss of power left; once."""
    if not available():
        print(f"{site.name}: no stand-in front-end in this checkout, skipped", file=sys.stderr)
        return
    if processes.running(site, "frontend") is None:
        prepare(site)
        start(site, "frontend")
        register_hooks(site)
    start(site, "hooks")


def prepare(site: Site) -> None:
    """Make the front-end's tree and install the drivers into it with the project's own installer."""
    site.one_location.mkdir(parents=True, exist_ok=True)
    _call(site, [sys.executable, "-m", "sandbox.frontend.tree", "--location", str(site.one_location)])
    write_vmm_conf(site)
    if not INSTALLER.exists():
        print(f"{site.name}: no {INSTALLER}, drivers not installed", file=sys.stderr)
        return
    _call(site, [str(INSTALLER), "--python", sys.executable])


def register_hooks(site: Site) -> None:
    """Create the project's hooks in the running front-end."""
    if INSTALLER.exists():
        _call(site, [str(INSTALLER), "--hooks", "--python", sys.executable])


def write_vmm_conf(site: Site) -> None:
    """Tell the VMM drivers about the site, also below a front-end that scrubs the environment."""
    conf = {
        "SANDBOX_REPO": REPO, "SANDBOX_SITE": site.folder, "SANDBOX_NETNS": NAMESPACES / site.netns,
        "CEPH_CONF": site.ceph_conf, "CEPH_USER": "oneadmin",
    }
    etc = site.one_location / "etc"
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "sandbox-vmm.conf").write_text("".join(f"{name}={value}\n" for name, value in conf.items()))


def start(site: Site, daemon: str) -> None:
    """Start one of COMMANDS unless it runs; the front-end is waited for until its port answers."""
    module = COMMANDS[daemon]
    if not available(module):
        return
    argv = [sys.executable, "-m", module, "--location", str(site.one_location)]
    if daemon == "frontend":
        argv += ["--listen", f"{site.address}:{PORT}"]
    pid = processes.start(site, daemon, argv, _python())
    if daemon == "frontend":
        until(f"the front-end of {site.name}", lambda: _answers(site, pid), 60)


def _answers(site: Site, pid: int) -> bool:
    if not processes.belongs(pid, site):
        raise SandboxError(f"the front-end of {site.name} ended at once, see {site.folder}/frontend.out")
    try:
        with xmlrpc.client.ServerProxy(site.endpoint) as api:
            return bool(api.one.system.version(site.one_auth.read_text().strip()))
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return False


def _python() -> dict[str, str]:
    """The environment in which this checkout's modules are found, in front of what was set."""
    path = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    commands = [str(Path(sys.executable).parent), os.environ["PATH"]]
    return {"PYTHONPATH": os.pathsep.join(path), "PATH": os.pathsep.join(commands)}


def _call(site: Site, argv: list[str], limit_s: float = 180) -> None:
    env = {**os.environ, **site.environment(), **_python()}
    done = subprocess.run(inside(site, argv), env=env, capture_output=True, text=True, timeout=limit_s)
    if done.returncode:
        raise SandboxError(f"{site.name}: {' '.join(argv)}: {(done.stderr or done.stdout).strip()[-800:]}")
