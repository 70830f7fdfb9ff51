"""The hook process: takes events of a front-end, runs hooks, returns records. What it holds dies with it."""
from __future__ import annotations

import argparse
import base64
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lxml import etree

from sandbox.frontend.hooks import sockets

CONCURRENCY = 10
SHELL_CHARACTERS = set("*?{}[]<>()~&|\\$;'`\"\n")
RECORD_PAUSE = 0.5
LOG = logging.getLogger("onehem")
Message = dict[str, Any]


def pretty(event: str, path: str) -> str:
    """The part of an event a hook gets: parsed in recovery mode, since oned does not escape, and indented."""
    parser = etree.XMLParser(recover=True, strip_cdata=False, huge_tree=True, resolve_entities=False)
    root = etree.fromstring(event.encode(), parser)
    found = root.find(path) if root is not None else None
    if found is None:
        return ""
    found.tail = None
    return etree.tostring(found, encoding="unicode", pretty_print=True).rstrip("\n")


def arguments(message: Message) -> str:
    """ARGUMENTS with $TEMPLATE and $API filled in."""
    event = message["event"]
    fillings = {"$API": "", "$TEMPLATE": ""}
    if "<HOOK_TYPE>API<" in event[:200]:
        fillings["$API"] = _encoded(pretty(event, "CALL_INFO"))
    else:
        resource = message["key"].split("/")[0].replace("NET", "VNET")
        fillings["$TEMPLATE"] = _encoded(pretty(event, resource))
    return " ".join(fillings.get(word, word) for word in message["words"].split()).strip()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def command_line(command: str) -> list[str]:
    """A shell runs the command only when it holds characters a shell would treat."""
    if SHELL_CHARACTERS & set(command):
        return ["/bin/sh", "-c", command]
    return command.split()


class HookProcess:
    """One queue, ten workers."""

    def __init__(self, location: Path) -> None:
        self.location = location
        self.var = location / "var"
        self._jobs: queue.Queue[Message] = queue.Queue()

    def run(self) -> None:
        """Serve until killed."""
        listener = sockets.listen(self.var / sockets.EVENTS)
        for _ in range(CONCURRENCY):
            threading.Thread(target=self._work, daemon=True).start()
        LOG.info("listening")
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (message := sockets.receive(connection)) is not None:
                    self._jobs.put(message)
            except OSError as failure:
                LOG.warning("front-end gone: %s", failure)

    def _work(self) -> None:
        while True:
            message = self._jobs.get()
            LOG.info("Executing hook %s for %s", message["hook"], message["key"])
            record = self._execute(message)
            LOG.info("hook %s for %s ended with %s", message["hook"], message["key"], record["code"])
            self._deliver(record)

    def _execute(self, message: Message) -> Message:
        words = message["arguments"] if message.get("retry") else arguments(message)
        command = message["command"]
        if not command.startswith("/"):
            command = f"{self.var}/remotes/hooks/{command}"
        given = ""
        if message["stdin"]:
            given = words
        elif words:
            command = f"{command} {words}"
        if message["remote"]:
            code, out, error = 255, "", "the stand-in front-end runs no hooks on remote hosts"
        else:
            code, out, error = self._run(command, given, message["timeout"])
        return {"hook": message["hook"], "arguments": words, "command": command, "input": given, "code": code,
                "stdout": _encoded(out), "stderr": _encoded(error), "retry": bool(message.get("retry"))}

    def _run(self, command: str, given: str, timeout: float | None) -> tuple[int, str, str]:
        try:
            process = subprocess.Popen(command_line(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, errors="replace",
                                       start_new_session=True)
        except OSError as failure:
            return 255, "", f"{failure.strerror} - {command.split()[0]}"
        try:
            out, error = process.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            out, _ = process.communicate()
            return 255, out, f"Timeout executing {command}"
        return (process.returncode if process.returncode >= 0 else 255), out, error

    def _deliver(self, record: Message) -> None:
        """A front-end that is down gets the record when it is back."""
        while True:
            try:
                with sockets.connect(self.var / sockets.RECORDS) as connection:
                    sockets.send(connection, record)
                    if sockets.receive(connection) is not None:
                        return
            except OSError:
                time.sleep(RECORD_PAUSE)


def main() -> None:
    """`python -m sandbox.frontend.hooks.process --location ONE_LOCATION`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", type=Path, required=True)
    parser.add_argument("--listen", default="", help="the front-end's address, for ONE_XMLRPC of the hooks")
    options = parser.parse_args()
    location = options.location.resolve()
    os.chdir(location / "var")
    logging.basicConfig(filename=location / "var" / "onehem.log", level=logging.INFO,
                        format="%(asctime)s [%(levelname).1s]: %(message)s")
    os.environ["ONE_LOCATION"] = str(location)
    os.environ.setdefault("ONE_AUTH", str(location / "var" / ".one" / "one_auth"))
    if options.listen:
        os.environ["ONE_XMLRPC"] = f"http://{options.listen}/RPC2"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HookProcess(location).run()


if __name__ == "__main__":
    main()
