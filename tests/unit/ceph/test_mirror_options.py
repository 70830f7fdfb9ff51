"""Options of rbd-mirror are read by handles of librados that are freed: the keeper reads them in each pass."""
from __future__ import annotations

import resource
from pathlib import Path

from onedr.ceph import cluster_info

READS, GREW_MIB = 60, 4  # a handle that is not freed keeps some 170 KiB


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def test_reading_a_file_leaves_no_memory_behind(tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text("[client.rbd-mirror.a]\nrbd_mirror_journal_poll_age = 0.5\n")
    found = cluster_info._from_file(str(conf), "client.rbd-mirror.a")
    assert tuple(found) == cluster_info.OPTIONS and float(found["rbd_mirror_journal_poll_age"]) == 0.5
    before = resident_mib()
    for _ in range(READS):
        cluster_info._from_file(str(conf), "client.rbd-mirror.a")
    assert resident_mib() - before < GREW_MIB
