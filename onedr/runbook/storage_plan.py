"""The chapters about storage: fence the other site, promote the copies, what follows. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from onedr.failover import fence_plan
from onedr.model import names, template
from onedr.model.records import ImageFacts
from onedr.model.template import Pairs
from onedr.model.types import DRIVER, STOCK_DRIVER, CephAccess
from onedr.runbook.facts import Block, BookFacts, Chapter, Part
from onedr.runbook.shell_text import command, file, prose, word

KNOWN = "onedr.datastores"  # what the pool knows as protected (protection.pool_settings)
_PROMOTE_S = 120
_BRIDGE = ("BRIDGE_LIST", "localhost")  # the stock driver insists on one


def client(program: str, access: CephAccess) -> list[str]:
    """`rbd`, `rados` or `ceph` as the datastore's Ceph user."""
    words = [program]
    for option, value in (("--id", access.user), ("--conf", access.conf), ("--keyfile", access.keyfile)):
        words += [option, value] if value else []
    return words


def rbd(access: CephAccess, *words: str) -> str:
    """An rbd command."""
    return command([*client("rbd", access), *words])


def folder(facts: BookFacts) -> str:
    """What each block begins with: where templates and ids are kept, so that a new shell goes on; and UTF-8,
    in which OpenNebula's client then reads the templates.
    """
    return f'export LC_ALL=C.UTF-8; cd "$HOME/onedr-runbook-{facts.datastore_id}"'


def bases_first(images: Iterable[ImageFacts]) -> list[ImageFacts]:
    """Images, each after what it is read through."""
    known = {image.name: image for image in images}

    def depth(image: ImageFacts, seen: tuple[str, ...] = ()) -> int:
        parent = known.get(image.parent or "")
        return 0 if parent is None or image.name in seen else 1 + depth(parent, (*seen, image.name))

    return sorted(known.values(), key=lambda image: (depth(image), image.name))


def fence(facts: BookFacts, waiting: Sequence[ImageFacts]) -> Chapter:
    """How to see the other site, and to keep it from writing."""
    parts: list[Part] = [
        "Two sites that write to the same disks end in split-brain, and one of both loses what it wrote. Go "
        "on only when the other site cannot write: its hosts are off, or cut off from their storage, or its "
        "images are demoted. A silent connection is a hint, never a proof.",
        f"When this book was made: {prose(facts.peer_seen)}",
    ]
    if facts.peer_vms is not None:
        running = [f"{vm.name} ({vm.vm_id})" for vm in facts.peer_vms if vm.state in fence_plan.RUNS]
        parts.append(f"Its front-end showed these VMs running: {prose(', '.join(running)) or 'none'}.")
    look = [
        f"timeout 3 bash -c {word(f': < /dev/tcp/{host}/{port}')} && echo 'a monitor answers'"
        f" || echo 'no answer of a monitor'" for host, port in facts.peer_addresses
    ]
    look.append(rbd(facts.access, "mirror", "pool", "status", facts.access.pool, "--verbose"))
    parts += ["Look at it from here, and at what the copies lack:", Block(tuple(look))]
    if facts.fence_command:
        parts += [
            "The fence command of onedr.conf. It must end with 0:",
            Block((command(facts.fence_command),), here=False),
        ]
    clones_first = [image.name for image in reversed(bases_first(waiting))]
    parts += [
        "If the other site's Ceph can still be reached: shut its VMs down, then demote its images there, as "
        "its Ceph administrator.",
        Block(tuple(
            command(("rbd", "mirror", "image", "demote", f"{facts.access.pool}/{name}"))
            for name in clones_first
        ), here=False),
    ]
    return Chapter("Before you begin: fence the other site", tuple(parts))


def release_drivers(facts: BookFacts) -> Chapter:
    """The datastore gets the drivers of OpenNebula, and OneDR, where it still runs, does not take it back."""
    begin = (
        "umask 077", f'mkdir -p "$HOME/onedr-runbook-{facts.datastore_id}"', folder(facts),
        *file("no-protection.xml", (("DR_PROTECT", "NO"),)),
        f"onedatastore update {facts.datastore_id} no-protection.xml --append",
        command([
            *client("rados", facts.access), "-p", facts.access.pool, "rmomapkey", KNOWN,
            str(facts.datastore_id),
        ]),
        *file("stock.xml", _stock(facts.attributes, ("DS_MAD", "TM_MAD"))),
        f"onedatastore update {facts.datastore_id} stock.xml --append",
    )
    parts: list[Part] = [
        "OpenNebula's own Ceph drivers do the work. This also tells OneDR, if a part of it still runs, to "
        "leave the datastore alone.", Block(begin),
    ]
    if facts.system_datastores:
        lines = [folder(facts)]
        for datastore_id, attributes in facts.system_datastores:
            name = f"system-{datastore_id}.xml"
            lines += file(name, _stock(attributes, ("TM_MAD",)))
            lines.append(f"onedatastore update {datastore_id} {name} --append")
        parts += [
            "The system datastores that use OneDR's driver. oned shows their free space again after its next "
            "look, some minutes later; VMs wait as PENDING until then.", Block(tuple(lines)),
        ]
    return Chapter("Take OneDR out of the way", tuple(parts))


def _stock(attributes: Pairs, drivers: Iterable[str]) -> Pairs:
    bridge = () if template.get(attributes, "BRIDGE_LIST") else (_BRIDGE,)
    return (*((key, STOCK_DRIVER) for key in drivers), *bridge)


def promote(facts: BookFacts, waiting: Sequence[ImageFacts]) -> Chapter:
    """The copies become writable here."""
    title = "Promote the copies"
    if not waiting:
        return Chapter(title, ("Nothing waits to be promoted: all images are primary here.",))
    order = [f"{facts.access.pool}/{image.name}" for image in bases_first(waiting)]
    check = [
        f"{rbd(facts.access, 'info', name)} | grep 'mirroring primary: true' || "
        f"echo {word(f'NOT PRIMARY: {name}')}" for name in order
    ]
    return Chapter(title, (
        "First stop this site's rbd-mirror: a forced promotion may hang while it holds an image. "
        "`rbd mirror pool status` above names its hosts; on each of them, as root:",
        Block(("systemctl stop ceph-rbd-mirror.target",), here=False),
        "If the images were demoted at the other site, do not stop rbd-mirror; wait until it shows "
        "`up+unknown` for each image, and leave out `--force`.",
        Block(tuple(
            f"timeout {_PROMOTE_S} {rbd(facts.access, 'mirror', 'image', 'promote', '--force', name)}"
            for name in order
        )),
        "Each must be primary now. Go on with those that are:", Block(tuple(check)),
        "Then start rbd-mirror again, on the same hosts:",
        Block(("systemctl start ceph-rbd-mirror.target",), here=False),
    ))


def local_base(facts: BookFacts, image: ImageFacts) -> tuple[str, list[str]]:
    """The name of the clone that stands for a base here, and the commands that make it: oned names the disks
    of VMs after their base, and the peer's VM ids are used here too.
    """
    name, pool = names.taken_base(image.name, facts.site_index), facts.access.pool
    snapshot = f"{pool}/{image.name}@{names.BASE_SNAPSHOT}"
    lines = []
    if names.BASE_SNAPSHOT not in (image.snapshots or ()):
        lines.append(rbd(facts.access, "snap", "create", snapshot))
    lines.append(f"{rbd(facts.access, 'snap', 'protect', snapshot)} || echo 'it was protected already'")
    data_pool = ("--data-pool", facts.access.data_pool) if facts.access.data_pool else ()
    lines.append(rbd(facts.access, "clone", *data_pool, snapshot, f"{pool}/{name}"))
    return name, lines


def afterwards(facts: BookFacts, images: Sequence[ImageFacts]) -> Chapter:
    """What must not be done until OneDR is back, and what to do when the other site is."""
    pool = facts.access.pool
    there = [image.name for image in reversed(bases_first(images))]
    back: Pairs = (("DS_MAD", DRIVER), ("TM_MAD", DRIVER), ("DR_PROTECT", "YES"))
    if not template.get(facts.attributes, "BRIDGE_LIST"):
        back = (*back, ("BRIDGE_LIST", ""))
    lines = [folder(facts), *file("onedr.xml", back)]
    lines.append(f"onedatastore update {facts.datastore_id} onedr.xml --append")
    for datastore_id, attributes in facts.system_datastores:
        bridge = () if template.get(attributes, "BRIDGE_LIST") else (("BRIDGE_LIST", ""),)
        lines += file(f"onedr-{datastore_id}.xml", (("TM_MAD", DRIVER), *bridge))
        lines.append(f"onedatastore update {datastore_id} onedr-{datastore_id}.xml --append")
    return Chapter("Afterwards", (
        "- Nothing is replicated. Make backups.",
        "- Create no images in this datastore until OneDR's drivers are back: the stock driver does not know "
        "which numbers the other site uses in this pool.",
        "- VMs that were here before, and their disks, keep OneDR's driver: they run and stop without it. "
        "Attach, detach, resize and terminate none of them until it is back.",
        "- When the other site comes back, keep its OpenNebula and its hosts off. Its images are primary "
        "there too (split-brain), with what never reached this site. Keep that if you need it, for instance "
        "with `rbd export`. Then make the site a copy of this one, as its Ceph administrator. **This deletes "
        "what only the other site has:**",
        Block(tuple(
            line for name in there for line in (
                command(("rbd", "mirror", "image", "demote", f"{pool}/{name}")),
                command(("rbd", "mirror", "image", "resync", f"{pool}/{name}")),
            )
        ), here=False),
        "- In its OpenNebula, lock the VMs that run here now, before its hosts are on again: `onevm lock "
        "--all` with the ids there, which the headings of this book name.",
        "- When OneDR works again here, give the datastore back to it:",
        Block(tuple(lines), here=False),
    ))
