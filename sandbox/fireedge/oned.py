"""oned behind FireEdge: a real front-end (or its stand-in) by XML-RPC."""
from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable

# `datastore.info` and its arguments: oned's answer (XML or an id). Raises OnedError.
Call = Callable[..., str]


class OnedError(Exception):
    """oned's own sentence."""


def over_xmlrpc(endpoint: str, session: str) -> Call:
    """Calls as this user (`name:password`)."""

    def call(method: str, *arguments: object) -> str:
        with xmlrpc.client.ServerProxy(endpoint) as api:
            answer = getattr(api, f"one.{method}")(session, *arguments)
        if not isinstance(answer, list) or not answer[0]:
            raise OnedError(str(answer[1] if isinstance(answer, list) else answer))
        return str(answer[1])

    return call
