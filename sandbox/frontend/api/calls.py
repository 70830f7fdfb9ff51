"""The table of API calls, and how each is run: authentication, errors, API hooks."""
from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from sandbox.frontend.api import rpc
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, Fault
from sandbox.frontend.objects.users import Caller, authenticate

Handler = Callable[..., Any]
Wrapped = TypeVar("Wrapped", bound=Handler)
LOG = logging.getLogger("ReM")

CALLS: dict[str, tuple[str, Handler]] = {}
_QUIET = (".info", ".infoextended", ".infoset", ".version", ".config", ".monitoring")
REPLICATION_INDEX = rpc.Wide(-1)


def api(name: str, signature: str = "") -> Callable[[Wrapped], Wrapped]:
    """Register a handler `(frontend, caller, *parameters)`; the session is not in the signature."""
    def register(handler: Wrapped) -> Wrapped:
        CALLS[name] = (signature, handler)
        return handler
    return register


def unlocked(handler: Wrapped) -> Wrapped:
    """Mark a handler that takes the front-end's lock itself, because it waits for a driver."""
    handler.takes_lock = True  # type: ignore[attr-defined]
    return handler


def dispatch(frontend: Frontend, method: str, parameters: tuple[Any, ...]) -> list[Any]:
    """Run a call: an array for the client, or a Fault."""
    if method not in CALLS:
        raise Fault(-506, f"Method '{method}' not defined")
    signature, handler = CALLS[method]
    rpc.check_types("s" + signature, parameters)
    session, *arguments = parameters[:1 + len(signature.replace("?", ""))]
    try:
        with frontend.lock:
            who = authenticate(frontend.store, session)
    except ApiError as refused:
        return _refusal(method, refused)
    answer = _run(frontend, method, handler, who, arguments)
    if not method.endswith(_QUIET):
        _publish(frontend, method, parameters, answer, who)
    return answer


def _run(frontend: Frontend, method: str, handler: Handler, who: Caller, arguments: list[Any]) -> list[Any]:
    try:
        if getattr(handler, "takes_lock", False):
            return [True, handler(frontend, who, *arguments), 0]
        with frontend.lock:
            return [True, handler(frontend, who, *arguments), 0]
    except ApiError as refused:
        LOG.info("%s: %s", method, refused.text)
        return _refusal(method, refused)


def _refusal(method: str, refused: ApiError) -> list[Any]:
    return [False, f"[{method}] {refused.text}", int(refused.code), refused.oid, REPLICATION_INDEX]


def _publish(
    frontend: Frontend, method: str, parameters: tuple[Any, ...], answer: list[Any], who: Caller
) -> None:
    """Publish the event for API hooks. Nothing is escaped, as in oned."""
    given = ["****", *parameters[1:]]
    outward = answer[:4]
    items = [("IN", place, _plain(value)) for place, value in enumerate(given, 1)]
    items += [("OUT", place, str(value).lower() if isinstance(value, bool) else str(value))
              for place, value in enumerate(outward, 1)]
    xml = "".join(
        f"<PARAMETER><POSITION>{place}</POSITION><TYPE>{way}</TYPE><VALUE>{value}</VALUE></PARAMETER>"
        for way, place, value in items)
    frontend.hooks.publish("api", method, (
        f"<HOOK_TYPE>API</HOOK_TYPE><CALL>{method}</CALL><CALL_INFO><RESULT>{int(answer[0])}</RESULT>"
        f"<PARAMETERS>{xml}</PARAMETERS><EXTRA>{who.extra if answer[0] else ''}</EXTRA></CALL_INFO>"))


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
