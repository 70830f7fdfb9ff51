"""The network of a bed: a namespace a site, a line between them that can be cut, a way in from outside.

Nothing is forwarded: the root namespace reaches each site over a veth of its own, the sites reach
each other over one direct veth (`peer` in both), so cutting that leaves no way round.
"""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

from sandbox.layout import ALLOCATION, Site, addresses, sites_of_slot
from sandbox.waiting import SandboxError

CLAIMS = Path("/run/onedr-sandbox")
"""One file per bed number in use on this machine, holding the bed's base folder."""
NAMESPACES = Path("/run/netns")
SLOTS = range(256)
LINE = "peer"


def claim(base: Path) -> int:
    """Give the bed under `base` a number (or find the one it has) and record it there.

    Two beds never get the same: a number is taken by creating its file exclusively.
    """
    slot = claimed(base)
    if slot is None:
        recorded = _recorded(base)
        slot = _take(base, SLOTS if recorded is None else range(recorded, recorded + 1))
    (base / ALLOCATION).write_text(json.dumps({"slot": slot}) + "\n")
    return slot


def claimed(base: Path) -> int | None:
    """The number held by the bed under `base`, None when it holds none."""
    for file in CLAIMS.glob("[0-9]*"):
        if _owner(file) == str(base):
            return int(file.name)
    return None


def release(base: Path) -> None:
    """Give the bed's number back; its namespaces must be gone."""
    slot = claimed(base)
    if slot is not None:
        (CLAIMS / str(slot)).unlink()
    (base / ALLOCATION).unlink(missing_ok=True)
    try:
        CLAIMS.rmdir()
    except OSError:
        return  # other beds are up


def build(slot: int, sites: dict[str, Site]) -> None:
    """Lay namespaces, links, addresses and routes; what is there already stays."""
    given = addresses(slot)
    for site in sites.values():
        if not (NAMESPACES / site.netns).exists():
            _ip("netns", "add", site.netns)
    present = _links()
    for site in sites.values():
        if _outer(site) not in present:
            _connect_root(site, given["root"])
    first, second = sites.values()
    if not _has_line(first):
        _connect_sites(first, second)


def remove(sites: dict[str, Site]) -> None:
    """Remove links and namespaces of these sites; missing ones are fine."""
    present = _links()
    for site in sites.values():
        if _outer(site) in present:
            _ip("link", "del", _outer(site))
        if (NAMESPACES / site.netns).exists():
            _ip("netns", "del", site.netns)


def cut(sites: dict[str, Site]) -> None:
    """Drop what arrives over the line at either end, silently, as a dead line does: no reset, no ICMP."""
    # At the receiving side: a drop in the output hook would hand EPERM to the sender.
    rules = f"""
table inet cut
delete table inet cut
table inet cut {{
  chain in {{
    type filter hook input priority 0
    iifname "{LINE}" drop
  }}
}}
"""
    for site in sites.values():
        _run(["nft", "-f", "-"], site, rules)


def heal(sites: dict[str, Site]) -> None:
    """Let the line carry again; no effect when it does."""
    for site in sites.values():
        _run(["nft", "-f", "-"], site, "table inet cut\ndelete table inet cut\n")


def is_cut(site: Site) -> bool:
    """Whether the line is cut at this site."""
    return "table inet cut" in _run(["nft", "list", "tables"], site)


def inside(site: Site, argv: list[str]) -> list[str]:
    """The argument list that runs `argv` in the site's network namespace and tree; the pid stays the same."""
    rooted = ["chroot", site.root, *argv] if site.root else argv
    return ["nsenter", f"--net={NAMESPACES / site.netns}", "--", *rooted]


def _connect_root(site: Site, root: str) -> None:
    outer = _outer(site)
    _ip("link", "add", outer, "type", "veth", "peer", "name", "root", "netns", site.netns)
    _ip("link", "set", outer, "up")
    _ip("addr", "replace", f"{root}/32", "dev", outer)
    _ip("route", "replace", f"{site.address}/32", "dev", outer, "src", root)
    _within(site, "link", "set", "lo", "up")
    _within(site, "addr", "replace", f"{site.address}/32", "dev", "lo")
    _within(site, "link", "set", "root", "up")
    _within(site, "route", "replace", f"{root}/32", "dev", "root", "src", site.address)


def _connect_sites(first: Site, second: Site) -> None:
    _ip("-n", first.netns, "link", "add", LINE, "type", "veth", "peer", "name", LINE, "netns", second.netns)
    for here, there in ((first, second), (second, first)):
        _within(here, "link", "set", LINE, "up")
        _within(here, "route", "replace", f"{there.address}/32", "dev", LINE, "src", here.address)


def _take(base: Path, slots: range) -> int:
    CLAIMS.mkdir(exist_ok=True)
    for slot in slots:
        file = CLAIMS / str(slot)
        if _abandoned(file, slot):
            file.unlink(missing_ok=True)
        try:
            with file.open("x") as f:
                f.write(str(base))
        except FileExistsError:
            continue
        return slot
    if len(slots) == 1:
        raise SandboxError(f"bed number {slots[0]} of {base} is held by another bed now: run `down` first")
    raise SandboxError(f"all {len(slots)} bed numbers are in use, see {CLAIMS}")


def _abandoned(claim_file: Path, slot: int) -> bool:
    """A claim whose base folder and namespaces are both gone."""
    owner = _owner(claim_file)
    if not owner or Path(owner).exists():
        return False
    return not any((NAMESPACES / s.netns).exists() for s in sites_of_slot(Path(owner), slot).values())


def _owner(claim_file: Path) -> str:
    try:
        return claim_file.read_text()
    except FileNotFoundError:
        return ""


def _recorded(base: Path) -> int | None:
    try:
        return int(json.loads((base / ALLOCATION).read_text())["slot"])
    except FileNotFoundError:
        return None


def _outer(site: Site) -> str:
    return site.netns


def _links() -> set[str]:
    return {link["ifname"] for link in json.loads(_ip("-j", "link", "show"))}


def _has_line(site: Site) -> bool:
    return any(link["ifname"] == LINE for link in json.loads(_within(site, "-j", "link", "show")))


def _within(site: Site, *argv: str) -> str:
    return _ip("-n", site.netns, *argv)


def _ip(*argv: str) -> str:
    return _run(["ip", *argv])


def _run(argv: list[str], site: Site | None = None, text: str = "") -> str:
    argv = argv if site is None else inside(site, argv)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise SandboxError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
