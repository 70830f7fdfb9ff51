"""ceph.conf of a site: small, quick to start, all files below the site's folder.

The tunings and what each gained were measured: docs/ceph-facts.md C56 (two sites in under 2 s on 2 cores).
"""
from __future__ import annotations

from sandbox.layout import Site
from sandbox.waiting import SandboxError

# A unix socket's path holds at most 107 bytes; the longest here is one that rbd-mirror makes for each peer.
LONGEST_FOLDER = 107 - len("/client.rbd-mirror-peer.4194304.site-b.140737488355327.asok")

CONF = """\
[global]
mon_host = [v2:{ip}:3300,v1:{ip}:6789]
public_addr = {ip}
public_bind_addr = {ip}
ms_bind_ipv6 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = {d}/keyring
run_dir = {d}
admin_socket = {d}/$name.$pid.asok
log_file = {d}/$name.log
log_to_stderr = false
err_to_stderr = true
crash_dir = {d}/crash
max_open_files = 4096
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
# A lease of 10 s (times osd_heartbeat_grace of 20). Stock 0.8 keeps the PGs of a killed and restarted OSD
# waiting longer; a short one is left by any stall of the OSD, and see unstick() in cluster.py for that.
osd_pool_default_read_lease_ratio = 0.5
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
ms_async_op_threads = 1
paxos_propose_interval = 0.1
# Stock gathers debug messages in memory for a crash: a fifth of an OSD's time.
debug_rocksdb = 0/0
{quiet}

[client]
log_file =
admin_socket =

[mon]
mon_data = {d}/mon
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_cluster_log_file = {d}/cluster.log
mon_rocksdb_options = write_buffer_size=4194304,compression=kNoCompression
rocksdb_cache_size = 8388608
mon_memory_autotune = false
mon_osd_cache_size = 10

[mgr]
mgr_data = {d}/mgr
mgr_module_path = {d}/mgr-modules
mgr_initial_modules =

[osd]
osd_data = {d}/osd
osd_objectstore = bluestore
osd_fast_shutdown = true
# 18.2 and newer measure the device at each start, for a second.
osd_mclock_skip_benchmark = true
# unstick() marks it down; stock, it ends itself at the fifth time in ten minutes.
osd_max_markdown_count = 1000000
osd_class_dir = /usr/lib/x86_64-linux-gnu/rados-classes
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 1
osd_enable_op_tracker = false
osd_min_pg_log_entries = 20
osd_max_pg_log_entries = 200
bluestore_block_size = 21474836480
bluestore_block_wal_create = false
bluestore_block_db_create = false
bluestore_fsck_on_mkfs = false
# Each open and close of the block device waits for it (stock 250), 8 times on a start.
bdev_aio_poll_ms = 25
bluestore_cache_autotune = false
bluestore_cache_size = 33554432
bluestore_rocksdb_options = compression=kNoCompression,max_write_buffer_number=2,\
min_write_buffer_number_to_merge=1,write_buffer_size=8388608,max_background_jobs=2,max_total_wal_size=67108864

[client.rbd-mirror.a]
log_file = {d}/$name.log
admin_socket = {d}/$name.$pid.asok
# Stock 30: a failed replayer is retried; stock 5: the peer's journal is looked at.
rbd_mirror_image_state_check_interval = 2
rbd_mirror_journal_poll_age = 0.5
"""

SUBSYSTEMS = (
    "auth", "bdev", "bluefs", "bluestore", "client", "heartbeatmap", "journaler", "mgr", "mgrc", "mon",
    "monc", "ms", "objclass", "objecter", "osd", "paxos", "rados", "rbd", "rbd_mirror", "rbd_replay", "tp",
)


def write_conf(site: Site) -> None:
    """Write the site's ceph.conf. Raises SandboxError when the folder's path is too long for sockets."""
    folder = str(site.folder)
    if len(folder.encode()) > LONGEST_FOLDER:
        raise SandboxError(
            f"{folder} is {len(folder.encode())} bytes long, Ceph's sockets in it allow {LONGEST_FOLDER}: "
            "choose a shorter base folder (--base)"
        )
    quiet = "\n".join(f"debug_{name} = 0/0" for name in SUBSYSTEMS)
    site.ceph_conf.write_text(CONF.format(ip=site.address, d=folder, quiet=quiet))
