"""Threads that know what their starter worked for: its log context and its bridge session."""
from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def start(work: Callable[..., Any], *arguments: Any) -> threading.Thread:
    """Run `work` in a new daemon thread, which does not keep the process from ending."""
    context = copy_context()
    thread = threading.Thread(target=context.run, args=(work, *arguments), daemon=True)
    thread.start()
    return thread
