"""Which hosts of this site a VM can run on at all: clusters, requirements, PCI devices, quotas of clusters.
Pure.

What is not known of a host does not speak against it: the scheduler has the last word.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from onedr.model import template
from onedr.model.template import Pairs
from onedr.opennebula import nics, requirements
from onedr.opennebula.nics import Network
from onedr.opennebula.quotas import ClusterLimit, Needs

PENDING = "it will stay PENDING"
_KIND = ("VENDOR", "DEVICE", "CLASS")


@dataclass(frozen=True)
class Host:
    """A host that may take VMs: what is free, CPU in hundredths of a core, memory in MiB.

    `values`: what requirements can name, by attribute. `pci`: vendor, device and class of each PCI device
    that no VM has.
    """

    name: str
    free_cpu: int
    free_mib: int
    cluster_id: int = -1
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pci: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Places:
    """`hosts` None: not known. `clusters`: of the image datastore; empty: not known."""

    hosts: tuple[Host, ...] | None
    clusters: frozenset[int]
    networks: Mapping[str, Network]


def clusters_of(made: Pairs, places: Places) -> frozenset[int] | None:
    """Clusters that have the datastore and every network of a VM; None: not known."""
    wanted = {int(template.get(nic, "NETWORK_ID", "-1")) for nic in nics.of_template(made)}
    found = [each.clusters for each in nics.every_network(places.networks) if each.network_id in wanted]
    known = [each for each in (places.clusters, *found) if each]
    return frozenset.intersection(*known) if known else None


def nowhere(
    made: Pairs, user: Pairs, places: Places, needs: Needs, limits: Iterable[ClusterLimit] = ()
) -> str:
    """Why no host here can take a VM that is asked for as `made`, with its user's attributes; empty when one
    can, or none is known. `limits`: of its owner and group.
    """
    if not places.hosts:
        return ""
    shared, limits = clusters_of(made, places), tuple(limits)
    wanted, devices = template.get(user, "SCHED_REQUIREMENTS"), list(template.vectors(made, "PCI"))
    tests: tuple[tuple[str, Callable[[Host], bool]], ...] = (
        (
            "no host here is in a cluster that has its datastore and its networks",
            lambda host: shared is None or host.cluster_id < 0 or host.cluster_id in shared,
        ),
        (
            f"no host here meets its SCHED_REQUIREMENTS ({wanted})",
            lambda host: requirements.matches(wanted, host.values) is not False,
        ),
        (
            f"no host here has its PCI devices free ({', '.join(map(_kind, devices))})",
            lambda host: _has_devices(host, devices),
        ),
        (
            "the quota of its owner or group does not admit it in any cluster that is left",
            lambda host: all(limit.admits(host.cluster_id, needs) for limit in limits),
        ),
    )
    left = list(places.hosts)
    for why, test in tests:
        left = [host for host in left if test(host)]
        if not left:
            return f"{why}: {PENDING}"
    return ""


def _kind(device: Pairs) -> str:
    return ":".join(template.get(device, key, "*") for key in _KIND)


def _has_devices(host: Host, wanted: Iterable[Pairs]) -> bool:
    """Is there a free device for each? First fit, as oned does it (HostSharePCI::test)."""
    free = list(host.pci)
    for device in wanted:
        kind = [template.get(device, key) for key in _KIND]
        if not any(kind):
            continue  # by its address or profile: not known here
        found = next((each for each in free if all(_same(*pair) for pair in zip(kind, each))), None)
        if found is None:
            return False
        free.remove(found)
    return True


def _same(wanted: str, there: str) -> bool:
    return not wanted or wanted.lower().lstrip("0") == there.lower().lstrip("0")
