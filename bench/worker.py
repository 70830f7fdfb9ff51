"""Runs inside a site: times processes from start to exit, ours, stock's commands and stock's scripts in turn.

Job on standard input, results on output.
"""
from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import rados
import rbd

MIB = 1 << 20


class Ceph:
    """What has to be there before an action and gone after it."""

    def __init__(self, conf: str):
        self._cluster = rados.Rados(conffile=conf, name="client.oneadmin")
        self._cluster.connect(timeout=20)
        self._io = self._cluster.open_ioctx("one")

    def create(self, name: str) -> None:
        rbd.RBD().create(self._io, name, 8 * MIB, old_format=False)

    def base(self, name: str) -> None:
        """An image with a protected snapshot to clone from."""
        self.create(name)
        with rbd.Image(self._io, name) as image:
            image.create_snap("snap")
            image.protect_snap("snap")

    def snapshot(self, name: str) -> None:
        """A disk snapshot with the id 1."""
        with rbd.Image(self._io, name) as image:
            image.create_snap("1")
            image.protect_snap("1")

    def clone(self, parent: str, name: str) -> None:
        rbd.RBD().clone(self._io, parent, "snap", self._io, name)

    def mirror(self, name: str) -> None:
        with rbd.Image(self._io, name) as image:
            image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)

    def contents(self) -> dict[str, tuple[int, list[tuple[str, bool]]]]:
        """Images by name: bytes, and the users' snapshots with whether each is protected."""
        found = {}
        for name in rbd.RBD().list(self._io):
            with rbd.Image(self._io, name, read_only=True) as image:
                own = [
                    each["name"] for each in image.list_snaps()
                    if each["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
                ]
                found[name] = (image.size(), [(each, image.is_protected_snap(each)) for each in own])
        return found

    def remove(self, name: str) -> None:
        """The image with its snapshots, however it was left."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with rbd.Image(self._io, name) as image:
                    if image.mirror_image_get_info()["state"] != rbd.RBD_MIRROR_IMAGE_DISABLED:
                        image.mirror_image_disable(True)
                    for snapshot in list(image.list_snaps()):
                        if image.is_protected_snap(snapshot["name"]):
                            image.unprotect_snap(snapshot["name"])
                        image.remove_snap(snapshot["name"])
                rbd.RBD().remove(self._io, name)
                return
            except rbd.ImageNotFound:
                return
            except (rbd.ImageBusy, rbd.ImageHasSnapshots):
                time.sleep(0.1)
        sys.exit(f"{name} does not go away")


def timed(
    argv: list[str], environment: dict[str, str], stdin: bytes = b""
) -> tuple[float, float, int, str, float]:
    """Seconds from start to exit, peak MiB, exit code, what it said on standard error, its seconds of CPU."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
    )
    assert child.stdin is not None and child.stderr is not None
    child.stdin.write(stdin)
    child.stdin.close()
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    spent = usage.ru_utime + usage.ru_stime
    return seconds, usage.ru_maxrss / 1024, child.returncode, said.decode(errors="replace"), spent


def around(ceph: Ceph, steps: list[list[str]], mirrored: bool = False) -> None:
    for verb, *names in steps:
        getattr(ceph, verb)(*names)
        if mirrored and verb not in ("remove", "snapshot"):
            ceph.mirror(names[-1])


def one_case(ceph: Ceph, job: dict[str, Any], case: dict[str, Any]) -> dict[str, Any] | None:
    """Medians in ms of each side; None, with the reason on standard error, when the action did not work."""
    if not executable(job, case, "ours").is_file():
        print(f"{case['name']}: there is no such action yet", file=sys.stderr)
        return None
    sides = ["stock", *(["scripts"] if job["scripts"] else []), "ours", "protected"]
    spent: dict[str, list[float]] = {side: [] for side in sides}
    left: dict[str, Any] = {}
    peak = 0.0
    for turn in range(job["rounds"] + 1):
        for side in spent:
            around(ceph, case["before"], side == "protected")
            if side == "stock":
                total = commands(job, case)
            else:
                total, memory, why = action(job, case, side)
                peak = peak if side == "scripts" else max(peak, memory)
                left[side] = ceph.contents()
                if side == "ours" and left.get("scripts", left[side]) != left[side]:
                    why = f"what it left differs from what stock's script left: {left}"
                if why:
                    print(f"{case['name']} ({side}) failed: {why}", file=sys.stderr)
                    around(ceph, case["after"])
                    return None
            around(ceph, case["after"])
            if turn:  # the first round warms the caches
                spent[side].append(total * 1000)
    medians = {side: statistics.median(values) for side, values in spent.items()}
    return {"name": case["name"], "commands": len(case["stock"]), **medians, "peak": peak}


def executable(job: dict[str, Any], case: dict[str, Any], side: str) -> Path:
    if side == "scripts":
        return Path(job["scripts"]["ONE_LOCATION"], "var", "remotes", case["kind"], "ceph", case["action"])
    return Path(job["drivers"], case["kind"], "ceph_dr", case["action"])


def commands(job: dict[str, Any], case: dict[str, Any]) -> float:
    """Seconds that the naked commands of stock's script take together."""
    total = 0.0
    for command in case["stock"]:
        program, *words = command.split()
        access = ["--id", "oneadmin", "--conf", job["conf"]]
        total += timed([program, *access, *words], job["environment"])[0]
    return total


def action(job: dict[str, Any], case: dict[str, Any], side: str) -> tuple[float, float, str]:
    """Seconds, peak MiB, and why it failed: an action as oned calls it."""
    number = int(side == "protected")
    argv = [str(case["ids"][number]) if word == "DS" else word for word in case["argv"]]
    environment = job["scripts" if side == "scripts" else "environment"]
    seconds, memory, code, said, _ = timed(
        [str(executable(job, case, side)), *argv], environment, case["stdin"][number].encode()
    )
    failed = code or "DEBUG" in said
    return seconds, memory, (said or f"exit code {code}") if failed else ""


def start_ups(job: dict[str, Any]) -> dict[str, list[float]]:
    """Bare interpreters that import and end: medians of ms by the clock and of CPU."""
    first, *path = next(Path(job["drivers"]).glob("tm/ceph_dr/ln")).read_text().splitlines()[:4]
    python, *flags = first[2:].split()
    setup = "\n".join(line for line in path if line.startswith(("import sys", "sys.path")))
    found = {}
    for name, code in job["start_ups"].items():
        argv = [python, *flags, "-c", f"{setup}\n{code}"]
        runs = [timed(argv, job["environment"]) for _ in range(job["rounds"])]
        found[name] = [1000 * statistics.median(each) for each in zip(*((run[0], run[4]) for run in runs))]
    return found


def main() -> None:
    job = json.load(sys.stdin)
    os.nice(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ceph = Ceph(job["conf"])
    results = [one_case(ceph, job, case) for case in job["cases"]]
    print(
        json.dumps({"start_ups": start_ups(job), "cases": [row for row in results if row and row["stock"]]})
    )


main()
