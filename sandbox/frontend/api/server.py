"""The HTTP side: one thread a connection, POST /RPC2."""
from __future__ import annotations

import http.server
import logging
import socketserver
from typing import Any

from sandbox.frontend.api import rpc
from sandbox.frontend.api.calls import dispatch
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import Fault

LOG = logging.getLogger("ReM")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """XML-RPC server of a front-end."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], frontend: Frontend) -> None:
        self.frontend = frontend
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the failure of a request."""
        LOG.exception("request of %s failed", client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_POST(self) -> None:
        """A call."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._reply(200, self._answer(body))

    def do_GET(self) -> None:
        """Anything but a POST."""
        self._reply(405, b"Method not allowed\n")

    def _answer(self, body: bytes) -> bytes:
        try:
            method, parameters = rpc.decode(body)
            return rpc.encode(dispatch(self.server.frontend, method, parameters))
        except Fault as fault:
            return rpc.encode_fault(fault)

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time as oned 7.4 says it: UTC for HTTP's GMT."""
        return super().date_time_string(timestamp).replace("GMT", "UTC")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are logged by the dispatcher."""
