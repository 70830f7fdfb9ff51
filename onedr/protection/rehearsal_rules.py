"""When the keeper starts a rehearsal: once a night at the standby, and whenever one left something. Pure."""
from __future__ import annotations

from onedr.model.types import Role, Settings

NIGHT_S = 2 * 3600  # after midnight, local time
_FIRST_S = 3 * 3600  # from then on the first one may begin: not by day, while people set a standby up
OLD_S = 3 * 86400  # a VM that was not rehearsed for so long is a problem (`onedr check`)
_DAY_S = 86400


def night_began(now: float, offset_s: int) -> float:
    """The last time it was 02:00. `now`: epoch seconds; `offset_s`: of local time from UTC."""
    return now - (now + offset_s - NIGHT_S) % _DAY_S


def is_due(settings: Settings, role: Role, last: float, now: float, offset_s: int) -> bool:
    """Is a rehearsal due at this site? `last`: when the last one began, 0 for never; one dated ahead does not
    count. A night that was missed is made up for.
    """
    began = night_began(now, offset_s)
    if not (settings.protect and settings.rehearse and role is Role.SECONDARY):
        return False
    return now - began < _FIRST_S if not last else not began <= last <= now
