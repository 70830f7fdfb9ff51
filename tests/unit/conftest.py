"""Hypothesis: few examples in `make test`, the same each time, and many in `make long`; no time limit that a busy
machine would break.
"""
from __future__ import annotations

from hypothesis import settings

settings.register_profile("few", max_examples=25, deadline=None, database=None, derandomize=True)
settings.register_profile("many", max_examples=500, deadline=None, database=None)
settings.load_profile("few")  # --hypothesis-profile goes over this
