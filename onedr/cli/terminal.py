"""Text for a terminal by rich, which takes 30 ms to load: for what is shown to people, not for --json."""
from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from onedr.model.text import printable


class PlainConsole(Console):
    """Users name VMs and write attributes: every string is shown as text, in one line. Style is what a rich
    Text has that was made here.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich calls for each string that it prints, those in tables too."""
        return super().render_str(printable(text), **options)
