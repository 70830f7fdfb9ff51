"""Hypothesis for a suite that runs in seconds: fewer examples, and no time limit that a busy machine would
break.
"""
from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", max_examples=50, deadline=None, database=None)
settings.load_profile("unit")
