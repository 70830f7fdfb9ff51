"""Records of hook executions, kept in the database."""
from __future__ import annotations

import time
from typing import Any
from xml.sax.saxutils import escape

from sandbox.frontend.objects.store import Store

Record = dict[str, Any]


def keep_record(store: Store, record: Record, retention: int) -> None:
    """Store an execution record, dropping the oldest beyond the retention."""
    hook = int(record["hook"])
    rows = store.database.execute("SELECT COALESCE(MAX(exe), -1) FROM hook_log WHERE hook = ?", (hook,))
    number = int(rows.fetchone()[0]) + 1
    retry = "<RETRY>yes</RETRY>" if record.get("retry") else ""
    stamp = int(time.time())
    body = (f"<HOOK_EXECUTION_RECORD><HOOK_ID>{hook}</HOOK_ID><EXECUTION_ID>{number}</EXECUTION_ID>"
            f"<TIMESTAMP>{stamp}</TIMESTAMP><ARGUMENTS>{escape(record['arguments'])}</ARGUMENTS>"
            f"<EXECUTION_RESULT><COMMAND>{escape(record['command'])}</COMMAND>"
            f"<STDIN>{escape(record['input'])}</STDIN><STDOUT>{record['stdout']}</STDOUT>"
            f"<STDERR>{record['stderr']}</STDERR><CODE>{record['code']}</CODE></EXECUTION_RESULT>"
            f"{retry}</HOOK_EXECUTION_RECORD>")
    store.database.execute("INSERT INTO hook_log VALUES (?, ?, ?, ?, ?)",
                           (hook, number, stamp, int(record["code"]), body))
    store.database.execute("DELETE FROM hook_log WHERE hook = ? AND exe <= ?", (hook, number - retention))


def read_log(store: Store, hook: int, exe: int | None = None) -> str:
    """Execution records of a hook as XML."""
    rows = store.database.execute(
        "SELECT body FROM hook_log WHERE hook = ? AND exe = COALESCE(?, exe) ORDER BY exe", (hook, exe))
    return "".join(body for (body,) in rows)
