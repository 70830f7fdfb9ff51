"""The answer to an action that was refused. DR_MESSAGE shows it for a while, because whoever set DR_ACTION in
Sunstone sees nothing else.
"""
from __future__ import annotations

import calendar
import re
import time

SHOWN_S = 900
_SKEW_S = 60  # a moment ahead of our clock by more than this is no answer of ours
_FORM = re.compile(r"Refused at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)Z: ")


def refusal_message(reason: str, now: float) -> str:
    """DR_MESSAGE for a refusal; `now` in epoch seconds."""
    return f"Refused at {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now))}Z: {reason}"


def is_still_shown(message: str, now: float) -> bool:
    """Is this DR_MESSAGE a refusal of the last SHOWN_S seconds? Then the state's own message waits."""
    found = _FORM.match(message)
    if found is None:
        return False
    try:
        at = calendar.timegm(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return False
    return -_SKEW_S <= now - at <= SHOWN_S
