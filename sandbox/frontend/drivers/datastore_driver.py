"""The datastore driver: which one, with what on its standard input."""
from __future__ import annotations

from sandbox.frontend.executor import Outcome, encode
from sandbox.frontend.frontend import Frontend


def action_data(*parts: str) -> str:
    """DS_DRIVER_ACTION_DATA as it goes to a driver's standard input."""
    return encode(f"<DS_DRIVER_ACTION_DATA>{''.join(parts)}</DS_DRIVER_ACTION_DATA>")


def run_driver(frontend: Frontend, mad: str, action: str, argument: int, data: str) -> Outcome:
    """Run a datastore driver's action; the driver must be in oned.conf's list."""
    if mad not in frontend.config.options("DATASTORE_MAD").names:
        return Outcome(255, "", f"Datastore driver '{mad}' not available")
    script = frontend.var / "remotes" / "datastore" / mad / action
    return frontend.datastore_driver.run(script, [str(argument)], data)
