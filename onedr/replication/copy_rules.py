"""How many first copies and resyncs may run at the same time, by the time of day (docs/pause.md). Pure."""
from __future__ import annotations

from onedr.model.types import Settings

DAY_MIN = 24 * 60
WAITS = "waits for its first copy"


def at_once(settings: Settings, minute: int) -> int | None:
    """So many may run at the same time; None: no limit. `minute`: of the local day."""
    if settings.copy_window is None or is_inside(settings.copy_window, minute):
        return None
    return settings.copies_outside


def is_inside(window: tuple[int, int], minute: int) -> bool:
    """Is the minute of the day in the window? One that ends before it begins lasts over midnight."""
    begin, end = window
    return (minute - begin) % DAY_MIN < (end - begin) % DAY_MIN


def outside_min(window: tuple[int, int]) -> int:
    """Minutes of each day that are not in the window."""
    begin, end = window
    return DAY_MIN - (end - begin) % DAY_MIN


def window_text(window: tuple[int, int]) -> str:
    """`22:00-06:00`."""
    return "-".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in window)


def reason(settings: Settings) -> str:
    """Why an image waits. The same each time, because it is noted on the image."""
    assert settings.copy_window is not None
    window, count = window_text(settings.copy_window), settings.copies_outside
    others = f"only {count} at once run outside" if count else "none begins outside"
    return f"{WAITS}: {others} DR_COPY_WINDOW={window}; what is written to it is not protected until then"
