"""`writer.py CONF IMAGE`: append ledger records to an image of pool `one` for ever, each flushed before its number is printed."""
from __future__ import annotations

import sys
import time
import zlib

import rados
import rbd

START, RECORD = 1 << 20, 512
conf, name = sys.argv[1:]
with rados.Rados(conffile=conf, name="client.admin") as cluster, cluster.open_ioctx("one") as io, rbd.Image(io, name) as image:
    number = 0
    while True:
        number += 1
        body = f"ONEDR1 {number} {time.time_ns() // 1_000_000} {number}".encode()  # as sandbox/guest/init.c
        line = body + f" {zlib.crc32(body):08x}".encode()
        image.write(line.ljust(RECORD - 1) + b"\n", START + (number - 1) * RECORD)
        image.flush()
        print(number, flush=True)
