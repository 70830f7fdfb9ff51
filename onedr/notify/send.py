"""Sending a notice by one channel. Every function raises OneDRError when it was not taken."""
from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import asdict
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from onedr.host import process
from onedr.model.errors import OneDRError
from onedr.model.text import printable
from onedr.notify.change_rules import Notice
from onedr.notify.settings import NotifySettings

_LIMIT_S = 20.0
_SUBJECT = 150  # characters


def send(channel: str, notice: Notice, settings: NotifySettings) -> None:
    """Send by `mail`, `webhook` or `command`."""
    {"mail": _mail, "webhook": _webhook, "command": _command}[channel](notice, settings)


def body(notice: Notice) -> str:
    """A notice as JSON."""
    return json.dumps({"event": "notice", "host": socket.gethostname(), **asdict(notice)})


def _mail(notice: Notice, settings: NotifySettings) -> None:
    message = EmailMessage()
    message["From"], message["To"] = settings.mail_from, ", ".join(settings.mail_to)
    message["Subject"] = f"OneDR {notice.severity}: {printable(notice.text)[:_SUBJECT]}"
    message["Date"], message["Message-ID"] = formatdate(notice.at), make_msgid(domain="onedr.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{printable(notice.text)}\n\nSent by OneDR on {socket.gethostname()}.\n")
    kind = smtplib.SMTP_SSL if settings.smtp_tls == "tls" else smtplib.SMTP
    try:
        with kind(settings.smtp_host, settings.smtp_port, timeout=_LIMIT_S) as server:
            if settings.smtp_tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_session:
                user, _, password = settings.smtp_session.partition(":")
                server.login(user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        where = f"{settings.smtp_host}:{settings.smtp_port}"
        raise OneDRError(f"{where} did not take the mail: {error}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is signed for one address goes to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def signature(key: str, at: str, text: str) -> str:
    """HMAC-SHA-256 over `<timestamp>.<body>`: a receiver refuses what is old."""
    return "sha256=" + hmac.new(key.encode(), f"{at}.{text}".encode(), hashlib.sha256).hexdigest()


def _webhook(notice: Notice, settings: NotifySettings) -> None:
    text, at = body(notice), f"{notice.at:.0f}"
    headers = {
        "Content-Type": "application/json", "X-OneDR-Timestamp": at,
        "X-OneDR-Signature": signature(settings.webhook_key, at, text),
    }
    request = urllib.request.Request(settings.webhook, text.encode(), headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=_LIMIT_S):
            return
    except (OSError, ValueError) as error:  # HTTPError, URLError are OSErrors
        raise OneDRError(f"the webhook did not take it: {error}") from error


def _command(notice: Notice, settings: NotifySettings) -> None:
    process.run_program(settings.command, _LIMIT_S, feed=body(notice))
