"""How each hook begins. Most of a hook's time is the loading of modules, so what needs none ends before."""
from __future__ import annotations

import sys

from onedr.hook import payload


def run_hook(kind: str) -> None:
    """Do what the event on standard input asks of `onedr.hook.<kind>`, and print one line for the hook's log.
    """
    text = sys.stdin.buffer.read().decode(errors="replace")
    said = payload.nothing_to_do(text)
    if said:
        print(said)
        return
    from importlib import import_module

    from onedr.driver.run import run_driver

    def hook(_: list[str]) -> str:
        event = payload.read_event(text)
        return str(import_module(f"onedr.hook.{kind}").on_event(event))

    run_driver(hook)
