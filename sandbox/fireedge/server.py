"""FireEdge's server: `/fireedge/api` for calls, `/fireedge/modules` for remotes, a page that hosts them."""
from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from sandbox.fireedge.oned import Call, OnedError
from sandbox.fireedge.translate import to_json

HOST_PAGE = Path(__file__).with_name("host.html")
_TYPES = {".js": "application/javascript", ".html": "text/html; charset=utf-8"}
_INFO = re.compile(r"/fireedge/api/(datastore|document|vm)/info/(\d+)")
_UPDATE = re.compile(r"/fireedge/api/(datastore)/update/(\d+)")
_POOL = "/fireedge/api/datastorepool/info"


@dataclass
class FireEdge:
    """What the server serves. `zones`: oned by `?zone=`, "" for its own; `remote`: folder of the remote's
    scripts; `libraries`: folder of React and MUI. Tests read `updates` (path with query, body)
    and switch `logged_in`.
    """

    zones: dict[str, Call]
    remote: Path
    libraries: Path
    logged_in: bool = True
    broken: str = ""  # path of a call that is answered with nothing of use
    updates: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)  # the Authorization of each call

    @contextmanager
    def served(self, address: str = "127.0.0.1") -> Iterator[str]:
        """Serve while the context lasts; gives the URL."""
        fireedge = self

        class Handler(_Handler):
            state = fireedge

        server = ThreadingHTTPServer((address, 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: FireEdge

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/fireedge/api/"):
            self._api(path, None)
        elif path.startswith("/fireedge/modules/OneDRModule/"):
            self._file(self.state.remote / path.rpartition("/")[2])
        elif path.startswith("/libraries/"):
            self._file(self.state.libraries / path.rpartition("/")[2])
        else:
            self._file(HOST_PAGE)

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.updates.append((self.path, body))
        self._api(urlsplit(self.path).path, body)

    def _api(self, path: str, body: dict[str, object] | None) -> None:
        self.state.tokens.append(self.headers.get("Authorization", ""))
        if not self.state.logged_in:
            self._json(401, {"id": 401, "message": "Unauthorized"})
        elif self.state.broken and path.startswith(self.state.broken):
            self._send(502, "text/html", b"<html>bad gateway</html>")
        else:
            try:
                self._json(200, {"id": 200, "message": "OK", "data": self._answer(path, body)})
            except OnedError as error:
                self._json(404, {"id": 404, "message": "Not Found", "data": str(error)})

    def _answer(self, path: str, body: dict[str, object] | None) -> object:
        call = self.state.zones[parse_qs(urlsplit(self.path).query).get("zone", [""])[0]]
        if path == _POOL:
            return to_json(call("datastorepool.info"))
        if found := _INFO.fullmatch(path):
            return to_json(call(f"{found[1]}.info", int(found[2]), False))
        if (found := _UPDATE.fullmatch(path)) and body is not None:
            how = int(str(body.get("replace", 0)))  # as FireEdge: left out means that all is replaced
            return int(call(f"{found[1]}.update", int(found[2]), body["template"], how))
        raise OnedError(f"{path} is not translated")

    def _file(self, path: Path) -> None:
        if path.is_file():
            self._send(200, _TYPES.get(path.suffix, "text/plain"), path.read_bytes())
            return
        self.send_response(301)  # as FireEdge does with what is missing
        self.send_header("Location", "/fireedge/sunstone")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, code: int, value: object) -> None:
        self._send(code, "application/json", json.dumps(value).encode())

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
