"""The section [notify] of onedr.conf (docs/notifications.md)."""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onedr.host import config, secret_file
from onedr.model import parsing
from onedr.model.errors import InputError

_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")
_TLS = ("starttls", "tls", "no")
_PORTS = {"starttls": 587, "tls": 465, "no": 25}


@dataclass(frozen=True)
class NotifySettings:
    """Channels that are set; empty ones are not used. `smtp_session` is `user:password`."""

    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    smtp_host: str = ""
    smtp_port: int = 0
    smtp_tls: str = "starttls"
    smtp_session: str = ""
    webhook: str = ""
    webhook_key: str = ""
    command: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels in use."""
        used = (("mail", self.mail_to), ("webhook", self.webhook), ("command", self.command))
        return tuple(name for name, value in used if value)


def load_settings() -> NotifySettings:
    """The settings; without a section none is in use. Raises InputError that names every problem."""
    return read_settings(config.section("notify"))


def read_settings(given: Mapping[str, str]) -> NotifySettings:
    """The same of the section's keys and values."""
    problems: list[str] = []
    mail_to = tuple(given.get("mail_to", "").replace(",", " ").split())
    problems += [f"mail_to: {each!r} is no mail address" for each in mail_to if not _ADDRESS.fullmatch(each)]
    mail_from = given.get("mail_from", "").strip()
    if mail_to and not _ADDRESS.fullmatch(mail_from):
        problems.append(f"mail_from: {mail_from!r} is no mail address")
    tls = given.get("smtp_tls", "starttls").strip().lower()
    if tls not in _TLS:
        problems.append(f"smtp_tls: {tls!r} is none of {', '.join(_TLS)}")
    host, port = _server(given.get("smtp", ""), tls, problems)
    if mail_to and not host:
        problems.append("mail_to is set but smtp is not")
    session = _secret(given, "smtp_auth", problems)
    if session and tls == "no" and host not in ("localhost", "127.0.0.1", "::1"):
        problems.append("smtp_auth with smtp_tls = no would send the password readably")
    if session and ":" not in session:
        problems.append("smtp_auth: the file does not contain one line user:password")
    webhook, key = given.get("webhook", "").strip(), _secret(given, "webhook_key", problems)
    if webhook and not _URL.fullmatch(webhook):
        problems.append(f"webhook: {webhook!r} is not an address such as https://example.org/hook")
    elif webhook and parsing.in_plain_text(webhook):
        problems.append("webhook: http to another machine can be read and changed on its way; use https")
    if webhook and not key:
        problems.append("webhook is set but webhook_key, which signs what is sent, is not")
    command = config.command_words(given.get("command", ""), "command", problems)
    if problems:
        raise InputError(f"{config.path()}, section [notify]: {'; '.join(problems)}.")
    return NotifySettings(mail_to, mail_from, host, port, tls, session, webhook, key, command)


def _server(text: str, tls: str, problems: list[str]) -> tuple[str, int]:
    host, _, port = text.strip().partition(":")
    if not port:
        return host, _PORTS.get(tls, 587)
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        problems.append(f"smtp: {text!r} is not HOST or HOST:PORT")
        return "", 0
    return host, int(port)


def _secret(given: Mapping[str, str], key: str, problems: list[str]) -> str:
    """The content of a file that only its owner may read."""
    name = given.get(key, "").strip()
    if not name:
        return ""
    if not Path(name).is_absolute():
        problems.append(f"{key}: {name!r} is not the absolute path of a file")
        return ""
    try:
        return secret_file.read_secret(Path(name)).strip()
    except InputError as error:
        problems.append(f"{key}: {error}")
        return ""
