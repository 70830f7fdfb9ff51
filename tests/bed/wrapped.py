"""An image as it is, but for what a test's own class says otherwise."""
from __future__ import annotations

from typing import Any

import rbd


class Wrapped:
    """Everything that a subclass does not define is the image's."""

    def __init__(self, image: rbd.Image):
        self.image = image

    def __getattr__(self, name: str) -> Any:
        return getattr(self.image, name)
