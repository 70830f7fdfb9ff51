"""Every metric of the exporter: name, kind, unit, labels, meaning. Pure; docs/metrics.md is made of it."""
from __future__ import annotations

from dataclasses import dataclass

GAUGE, COUNTER = "gauge", "counter"
DATASTORE = ("datastore", "datastore_id")
VM = (*DATASTORE, "vm", "vm_id", "site")


@dataclass(frozen=True)
class Metric:
    """`unit` as in docs; `labels` in the order of a sample's values."""

    name: str
    unit: str
    labels: tuple[str, ...]
    text: str
    kind: str = GAUGE


_SITE = (
    Metric("onedr_build_info", "1", ("version",), "The release of OneDR that answers."),
    Metric("onedr_front_end_up", "0 or 1", (),
           "Did oned answer? Without it only this and what follows is known."),
    Metric("onedr_record_key_usable", "0 or 1", (),
           "Is the record key there, valid and private? Without it secrets do not travel and no "
           "record is signed."),
    Metric("onedr_scrape_duration_seconds", "seconds", (), "How long this scrape took."),
    Metric("onedr_scrape_front_end_calls", "calls", (),
           "Calls that this scrape made to oned; it does not grow with datastores, VMs or disks."),
)
_STATE = (
    Metric("onedr_datastore_up", "0 or 1", DATASTORE,
           "Could the datastore be read? When not, it has no other sample, and the exporter's log "
           "says why."),
    Metric("onedr_datastore_state", "0 or 1", (*DATASTORE, "state"),
           "1 for the state the datastore is in, 0 for the others ([states.md](states.md))."),
    Metric("onedr_datastore_role", "0 or 1", (*DATASTORE, "role"),
           "1 for this site's role (primary, secondary, unprotected), 0 for the others."),
    Metric("onedr_datastore_paused", "0 or 1", DATASTORE,
           "Is its replication paused ([pause.md](pause.md))? 0 also where the peer cannot be asked."),
    Metric("onedr_datastore_items", "items", DATASTORE,
           "Images and VM disks that are to be protected."),
    Metric("onedr_datastore_items_protected", "items", DATASTORE,
           "Those of them with a complete copy."),
    Metric("onedr_datastore_items_unprotected", "items", (*DATASTORE, "reason"),
           "Items that are not mirrored, by reason; `by_choice` has DR_PROTECT=NO."),
    Metric("onedr_datastore_items_copying", "items", DATASTORE,
           "Mirrored items whose first copy is not complete."),
    Metric("onedr_datastore_objective_seconds", "seconds", DATASTORE, "DR_RPO: how old a copy may be."),
    Metric("onedr_datastore_recovery_point_age_seconds", "seconds", DATASTORE,
           "Age of the oldest recovery point of its mirrored items; absent while one is unknown."),
    Metric("onedr_datastore_entries_behind", "journal entries", DATASTORE,
           "Journal entries that copies have not replayed, together; absent in snapshot mode."),
    Metric("onedr_datastore_bytes_behind", "bytes", DATASTORE,
           "The most that those entries hold, 16 KiB each; absent in snapshot mode."),
    Metric("onedr_datastore_copy_bytes_per_second", "bytes per second", DATASTORE,
           "What rbd-mirror says it copies, of all items together."),
    Metric("onedr_datastore_journal_bytes", "bytes", DATASTORE,
           "The most that the journals of its items keep: not replayed, or not trimmed. Whole "
           "object sets, so never 0."),
    Metric("onedr_peer_answers", "0 or 1", DATASTORE, "Do the peer's Ceph monitors answer?"),
    Metric("onedr_rbd_mirror_daemons", "daemons", DATASTORE,
           "rbd-mirror daemons that this site's cluster knows; a dead one counts for about a minute."),
    Metric("onedr_pool_used_bytes", "bytes", DATASTORE, "Stored in the data pool."),
    Metric("onedr_pool_free_bytes", "bytes", DATASTORE, "Free in the data pool, within its quota."),
)
_WORK = (
    Metric("onedr_reconcile_timestamp_seconds", "epoch seconds", DATASTORE,
           "End of the last pass of reconcile."),
    Metric("onedr_reconcile_duration_seconds", "seconds", DATASTORE, "How long that pass took."),
    Metric("onedr_reconcile_failed_items", "items", DATASTORE, "What that pass could not repair."),
    Metric("onedr_reconcile_repairs_total", "items", DATASTORE,
           "Records and mirroring that reconcile had to write because no hook or driver had done "
           "it.", COUNTER),
    Metric("onedr_hook_timestamp_seconds", "epoch seconds", DATASTORE,
           "When a hook last recorded a change of a VM's state."),
    Metric("onedr_hook_lag_seconds", "seconds", DATASTORE,
           "How long that change had waited, from oned's time of it, which has whole seconds."),
    Metric("onedr_hook_lag_worst_seconds", "seconds", DATASTORE,
           "The longest that one waited in the hour before it."),
    Metric("onedr_run_in_progress", "0 or 1", (*DATASTORE, "verb"),
           "1 while a run of this verb is in progress, at either site; absent otherwise."),
    Metric("onedr_last_run_timestamp_seconds", "epoch seconds", (*DATASTORE, "verb"),
           "End of the newest run."),
    Metric("onedr_last_run_success", "0 or 1", (*DATASTORE, "verb"), "Did it end as DONE?"),
    Metric("onedr_last_run_duration_seconds", "seconds", (*DATASTORE, "verb"), "How long it took."),
    Metric("onedr_last_run_rto_seconds", "seconds", (*DATASTORE, "verb"),
           "From the command until the last of its VMs ran."),
    Metric("onedr_last_run_rpo_seconds", "seconds", (*DATASTORE, "verb"),
           "The most that a VM of it may have lost."),
    Metric("onedr_last_good_drill_timestamp_seconds", "epoch seconds", DATASTORE,
           "End of the newest drill without a failure, at this site; 0 when there was none."),
    Metric("onedr_rehearsal_timestamp_seconds", "epoch seconds", DATASTORE,
           "Begin of the last rehearsal at this site; absent when there was none."),
    Metric("onedr_rehearsal_vms", "VMs", (*DATASTORE, "result"),
           "The peer's VMs by result of their last rehearsal."),
)
_VMS = (
    Metric("onedr_vm_recovery_point_age_seconds", "seconds", VM,
           "Age of the oldest recovery point of its disks; absent while one is unknown."),
    Metric("onedr_vm_objective_seconds", "seconds", VM, "The objective of its datastore."),
    Metric("onedr_vm_recoverable", "0 or 1", VM,
           "Could it start at this site (the peer's VMs), or has it a complete copy of each disk "
           "(own VMs)?"),
    Metric("onedr_vm_skew_seconds", "seconds", VM,
           "Between the recovery points of its disks; absent while one is unknown."),
    Metric("onedr_vm_rehearsal_timestamp_seconds", "epoch seconds", VM,
           "Its last rehearsal, at the site that would take it over; absent when there was none."),
    Metric("onedr_vm_rehearsal_accepted", "0 or 1", VM, "Would it have been accepted then?"),
    Metric("onedr_vm_rehearsal_differences", "differences", VM, "What was not as it was then."),
    Metric("onedr_vm_entries_behind", "journal entries", VM,
           "Journal entries that the copies of its disks lack."),
    Metric("onedr_vm_bytes_behind", "bytes", VM, "The most that those entries hold, 16 KiB each."),
)
METRICS: tuple[Metric, ...] = (*_SITE, *_STATE, *_WORK, *_VMS)
