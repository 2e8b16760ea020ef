"""Send one message over one channel, once: what came of it, in a status and one line.

Slack: incoming webhooks. Webhook: Standard Webhooks 1.0 (webhook-id, webhook-timestamp,
webhook-signature "v1," HMAC-SHA256 of ``id.timestamp.body``). PagerDuty: Events API v2. E-mail:
SMTP with STARTTLS (RFC 3207) or TLS. Others: apprise, if it is installed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import smtplib
import socket
import ssl
from email.message import EmailMessage
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx2
import msgspec

from tollbook import clock
from tollbook.alerts.channel import Channel, ChannelError, check_url
from tollbook.alerts.message import Message, head_of, lines_of
from tollbook.chargeback.http import new_client, read_bounded, shown

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 10.0
"""Of connecting and of each wait."""
TOTAL_S: Final = 20.0
"""Of an answer."""
ANSWER_MAX_BYTES: Final = 65_536
DETAIL_MAX: Final = 300
PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"
_PAGERDUTY: Final = {"trigger": "trigger", "acknowledge": "acknowledge", "resolve": "resolve",
                     "test": "trigger"}  # fmt: skip
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- what secrets begin with
_PERMANENT: Final = range(400, 500)
_PASSING: Final = frozenset([HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT,
                             HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS])  # fmt: skip


class Sent(NamedTuple):
    """What came of one try."""

    is_delivered: bool
    status: int | None = None
    detail: str | None = None
    is_final: bool = False
    """Another try would change nothing."""


def send(channel: Channel, message: Message, secret: str | None) -> Sent:
    """Send a message once. Problems are values.

    Args:
        channel: where to.
        message: what.
        secret: of the channel.
    """
    try:
        return _SENDERS[channel.type](channel, message, secret)
    except ChannelError as error:
        return Sent(False, detail=_plain(error.message, secret), is_final=True)


def _slack(channel: Channel, message: Message, secret: str | None) -> Sent:
    # Names of tenants are text of strangers: no links, mentions or mark-up come of them.
    parts = [f"*{escaped(head_of(message))}*", *(escaped(line) for line in lines_of(message))]
    body = {"text": "\n".join(parts), "unfurl_links": False}
    return _post(channel.name, _needed(channel, secret), body, secret=secret)


def escaped(text: str) -> str:
    """Return text as Slack takes it: ``&``, ``<`` and ``>`` have a meaning there."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _webhook(channel: Channel, message: Message, secret: str | None) -> Sent:
    kind = f"incident.{message.event}"
    body = msgspec.json.encode(
        {"type": kind, "timestamp": message.at, "data": msgspec.to_builtins(message)}
    )
    stamp = str(clock.unix_ns() // clock.NS_PER_S)
    headers = {
        "webhook-id": message.message_id, "webhook-timestamp": stamp,
        "webhook-signature": signature(
            _key(channel, secret), message.message_id, stamp, body
        ),
    }  # fmt: skip
    assert channel.url is not None, "a webhook without a URL is not kept"
    return _post(channel.name, channel.url, body, headers=headers, secret=secret)


def signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """Return the signature of a message (Standard Webhooks, "Signature scheme")."""
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(channel: Channel, secret: str | None) -> bytes:
    text = _needed(channel, secret)
    if not text.startswith(_SECRET_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ChannelError(channel.name, "its secret is not whsec_ and base64") from error


def _pagerduty(channel: Channel, message: Message, secret: str | None) -> Sent:
    body: dict[str, Any] = {
        "routing_key": _needed(channel, secret), "event_action": _PAGERDUTY[message.event],
        "dedup_key": message.dedup_key,
    }  # fmt: skip
    if body["event_action"] == "trigger":
        body |= {
            "payload": {
                "summary": head_of(message), "source": "tollbook", "severity": message.severity,
                "timestamp": message.at, "custom_details": {
                    "text": message.text, "excess_usd": message.excess_usd,
                    "entity": message.entity, "drivers": message.drivers,
                },
            },
            "links": [
                {"href": href, "text": text}
                for href, text in ((message.url, "Incident"), (message.query_url, "Its calls"))
                if href
            ],
        }  # fmt: skip
    return _post(channel.name, channel.url or PAGERDUTY_URL, body, secret=secret)


def _post(
    name: str, url: str, body: dict[str, Any] | bytes, *, headers: dict[str, str] | None = None,
    secret: str | None = None,
) -> Sent:  # fmt: skip
    check_url(name, url)
    refused = _refused_host(url)
    if refused is not None:
        return Sent(False, detail=refused, is_final=True)
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    until_ns = clock.monotonic_ns() + int(TOTAL_S * clock.NS_PER_S)
    try:
        with (
            new_client(TIMEOUT_S) as client,
            client.stream(
                "POST", url, content=data,
                headers={"content-type": "application/json", "user-agent": "tollbook"}
                | (headers or {}),
            ) as response,
        ):  # fmt: skip
            answer, _ = read_bounded(response, ANSWER_MAX_BYTES, until_ns)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        # The error's own words may hold the URL, which may be the secret.
        return Sent(False, detail=f"{type(error).__name__}: not reached")
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Sent(True, status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Sent(False, status, "answers with a redirect, which is not followed", is_final=True)
    words = _plain(answer.decode("utf-8", "replace"), secret) or f"HTTP {status}"
    is_final = status in _PERMANENT and status not in _PASSING
    return Sent(False, status, words, is_final=is_final)


def _refused_host(url: str) -> str | None:
    """Return why a host is not sent to: link-local ones hand out the keys of clouds.

    Private addresses are allowed: an own chat server is usually there.
    """
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None  # the request says so in its own words, and is tried again
    for one in found:
        address = ipaddress.ip_address(str(one[4][0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
            return "its host is at a link-local address, which is not sent to"
    return None


def _email(channel: Channel, message: Message, secret: str | None) -> Sent:
    assert channel.smtp_host is not None, "a mail channel without a host is not kept"
    assert channel.mail_from is not None, "nor without a sender"
    mail = EmailMessage()
    mail["Subject"] = head_of(message).replace("\n", " ").replace("\r", " ")
    mail["From"], mail["To"] = channel.mail_from, ", ".join(channel.mail_to)
    mail["Message-ID"] = f"<{message.message_id}@tollbook>"
    mail["References"] = f"<{message.dedup_key}@tollbook>"  # one thread for one incident
    mail.set_content("\n".join(lines_of(message)) + "\n")
    context = ssl.create_default_context()
    try:
        with _smtp(channel, context) as server:
            if channel.smtp_security == "starttls":
                server.starttls(context=context)
            if channel.smtp_user:
                server.login(channel.smtp_user, _needed(channel, secret))
            refused = server.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        return Sent(False, error.smtp_code, "user or password is not accepted", is_final=True)
    except smtplib.SMTPResponseException as error:
        text = _plain(_text(error.smtp_error), secret)
        return Sent(False, error.smtp_code, text, is_final=error.smtp_code >= 500)  # noqa: PLR2004 -- RFC 5321, 4.2.1
    except smtplib.SMTPRecipientsRefused:
        return Sent(False, detail="no recipient was accepted", is_final=True)
    except (smtplib.SMTPException, OSError) as error:
        return Sent(False, detail=f"{type(error).__name__}: not reached")
    return Sent(True, detail=f"not accepted: {', '.join(refused)}" if refused else None)


def _smtp(channel: Channel, context: ssl.SSLContext) -> smtplib.SMTP:
    host = channel.smtp_host or ""
    if channel.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, channel.smtp_port, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(host, channel.smtp_port, timeout=TIMEOUT_S)


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words


def _apprise(channel: Channel, message: Message, secret: str | None) -> Sent:
    try:
        import apprise  # noqa: PLC0415 -- an extra
    except ImportError:
        return Sent(False, detail="apprise is not installed: pip install 'tollbook[notify]'",
                    is_final=True)  # fmt: skip
    kinds = {"critical": "failure", "warning": "warning", "info": "info"}
    kind = "success" if message.event == "resolve" else kinds[message.severity]
    house = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, app_id="Tollbook"))
    if not house.add(_needed(channel, secret)):
        return Sent(False, detail="its secret is no URL that apprise knows", is_final=True)
    is_sent = house.notify(body="\n".join(lines_of(message)), title=head_of(message),
                           notify_type=kind)  # fmt: skip
    return Sent(bool(is_sent), detail=None if is_sent else "apprise could not deliver it")


def _needed(channel: Channel, secret: str | None) -> str:
    if not secret:
        raise ChannelError(channel.name, "it needs a secret; name its variable in secret_env")
    return secret


def _plain(text: str, secret: str | None) -> str:
    return shown(text, [secret or ""])[:DETAIL_MAX]


_SENDERS: Final[dict[str, Callable[[Channel, Message, str | None], Sent]]] = {
    "slack": _slack, "webhook": _webhook, "email": _email, "pagerduty": _pagerduty,
    "apprise": _apprise,
}  # fmt: skip
