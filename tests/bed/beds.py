"""Beds and front-ends for the tests: real clusters, taken down at the end whatever happened.

FRONTEND=standin (default): each test file that wants front-ends gets a bed of its own with stand-ins.
FRONTEND=real: the front-ends are real OpenNebulas that somebody started and attached to a bed, both named by variables
(docs/testing.md): ONE_LOCATION_A/_B, ONE_XMLRPC_A/_B, ONE_AUTH_A/_B, SANDBOX_BASE, VM_MAD, IM_MAD, FRONTEND_RESET.
"""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import driver_calls as calls
import pytest
from driver_calls import Drivers

from sandbox.bed import Bed
from sandbox.cloud import Cloud, of_site
from sandbox.layout import Site
from sandbox.temporary import temporary

REAL = os.environ.get("FRONTEND", "standin") == "real"
# Files that take longest, in this order; begun last they would keep one worker busy while the others wait.
SLOWEST = (
    "test_operations", "test_operations_snapshot", "test_returned", "test_planned", "test_docs", "test_enable",
    "test_drill", "test_drivers_snapshots", "test_failover", "test_clones_flatten", "test_clones",
    "test_failback_changes", "test_check", "test_setup", "test_drivers_datastore", "test_guest",
)


@dataclass(frozen=True)
class Sites:
    """Two furnished front-ends on a bed. `real`: they are real OpenNebulas."""

    bed: Bed
    a: Cloud
    b: Cloud
    real: bool

    def kill_a(self) -> None:
        """Site A dies: Ceph, front-end, guests, everything that carries its mark."""
        self.bed.kill("site-a")

    def return_a(self, frontend: bool = True) -> None:
        """Site A comes back after that: its Ceph; with `frontend` its front-end too."""
        self.bed.up(frontends=frontend and not self.real)
        if frontend and self.real:
            subprocess.run([os.environ["FRONTEND_START"], "a"], check=True, timeout=120)

    def need_a_back(self) -> None:
        """Skip where site A's front-end cannot be started again."""
        if self.real and not os.environ.get("FRONTEND_START"):
            pytest.skip("FRONTEND=real needs FRONTEND_START, a program that starts site A's front-end again")


def slowest_first(items: list[pytest.Item]) -> None:
    """Put the tests of SLOWEST before all others, each file's in their order."""
    rank = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(SLOWEST)))


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Two sites with front-ends; shared by all tests, so leave it healthy (`bed.up()` repairs it)."""
    with temporary(frontends=True) as made:
        yield made


@pytest.fixture(scope="module")
def ceph_bed() -> Iterator[Bed]:
    """Two sites without front-ends, of one test file."""
    with temporary(frontends=False) as made:
        yield made


@pytest.fixture(scope="module")
def here(ceph_bed: Bed) -> Iterator[Drivers]:
    """Driver executables at site-a, with a canned front-end and no keepers."""
    with calls.no_keeper(*ceph_bed.sites.values()), calls.front_end(ceph_bed) as api:
        yield Drivers(ceph_bed, "site-a", api)


@pytest.fixture(scope="module")
def site(here: Drivers) -> Site:
    """Where they run."""
    return here.site


@pytest.fixture(scope="module")
def there(ceph_bed: Bed) -> Site:
    """The peer."""
    return ceph_bed.sites["site-b"]


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """Two sites with furnished front-ends, of one test file, which may ruin them."""
    if REAL:
        yield _real_sites()
        return
    with temporary(frontends=True) as made:
        a, b = (of_site(site) for site in made.sites.values())
        furnish(a, b)
        yield Sites(made, a, b, False)


def furnish(*clouds: Cloud) -> None:
    """Furnish front-ends side by side: most of it is waiting for their first monitoring."""
    with ThreadPoolExecutor(len(clouds)) as pool:
        list(pool.map(Cloud.furnish, clouds))


def _real_sites() -> Sites:
    reset = os.environ.get("FRONTEND_RESET")
    if not reset:
        pytest.skip("FRONTEND=real needs FRONTEND_RESET, a program that empties both front-ends and their pools")
    subprocess.run([reset], check=True, timeout=300)
    made = Bed(Path(os.environ["SANDBOX_BASE"]))
    clouds = []
    for site, letter in zip(made.sites.values(), "AB"):
        location = Path(os.environ[f"ONE_LOCATION_{letter}"])
        clouds.append(Cloud(
            site.name, site.index, os.environ[f"ONE_XMLRPC_{letter}"],
            Path(os.environ.get(f"ONE_AUTH_{letter}") or location / "var/.one/one_auth"), location, site.ceph_conf,
            prefix=("ip", "netns", "exec", site.netns), vm_mad=os.environ.get("VM_MAD", "sandbox"),
            im_mad=os.environ.get("IM_MAD", "dummy"), environment={"SANDBOX_SITE": str(site.folder)},
        ))
    furnish(*clouds)
    a, b = clouds
    return Sites(made, a, b, True)
