"""Where alerts are sent: the body of a channel's document, and who hears of what.

A channel never holds a secret: it names the environment variable, or the file under the data
directory's ``secrets`` or ``/run/secrets``, that holds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tollbook import clock
from tollbook.alerts.rule import NAME, SEVERITIES, Severity
from tollbook.books.documents import Subject, newest_documents, put_document
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from tollbook.alerts.incident import Incident
    from tollbook.alerts.rule import Rule
    from tollbook.books.store import Books

Type = Literal["slack", "webhook", "email", "pagerduty", "apprise"]
Event = Literal["trigger", "acknowledge", "resolve"]
SECRET_ENV: Final = re.compile(
    r"(?:TOLLBOOK_)?ALERT[A-Z0-9_]{0,80}"
    r"|[A-Z0-9_]{0,40}(?:SLACK|WEBHOOK|PAGERDUTY|SMTP|APPRISE)[A-Z0-9_]{0,40}"
)
"""Who may set a channel could otherwise have any variable of the ledger sent to a host of theirs:
the keys of providers, say."""
SECRET_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"\\]{1,64}@[^\s@<>,;:\"\\]{1,190}")
_REMOVED: Final = {"is_removed": True}
_URL_MAX: Final = 2048


class ChannelError(TollbookError):
    """A channel that cannot be kept or used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"channel {name[:64]!r}: {problem}")


class Channel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One place that people are told at."""

    name: str
    type: Type
    url: str | None = None
    """Of a webhook; of Slack and apprise the secret is the URL."""
    secret_env: str | None = None
    """Variable with the secret: Slack's URL, the webhook's ``whsec_...``, PagerDuty's routing key,
    the SMTP password, apprise's URL. Its name must speak of alerts or of one of these."""
    secret_file: str | None = None
    """Name of a file in the data directory's ``secrets``, or in ``/run/secrets``, instead."""
    severity: Severity = Severity.INFO
    """Least severity that it is told of."""
    rules: tuple[str, ...] = ()
    """Only incidents of one of these; empty: of any."""
    tenant: str | None = None
    """Only incidents of this tenant, without a word of any other."""
    events: tuple[Event, ...] = ("trigger", "resolve")
    is_paused: bool = False
    smtp_host: str | None = None
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    mail_from: str | None = None
    mail_to: tuple[str, ...] = ()


def read_channel(name: str, body: dict[str, Any]) -> Channel:
    """Return the channel of a document.

    Raises:
        ChannelError: naming the field and what is wrong with it.
    """
    if not NAME.fullmatch(name):
        raise ChannelError(name, "expected a name of letters, digits, . _ and -")
    try:
        one = msgspec.convert({**body, "name": name}, Channel, strict=False)
    except msgspec.ValidationError as error:
        raise ChannelError(name, str(error)) from error
    if one.secret_env is not None and not SECRET_ENV.fullmatch(one.secret_env):
        raise ChannelError(
            name, "secret_env: expected a variable whose name begins with ALERT or TOLLBOOK_ALERT, "
            "or has SLACK, WEBHOOK, PAGERDUTY, SMTP or APPRISE in it",
        )  # fmt: skip
    if one.secret_file is not None and not SECRET_FILE.fullmatch(one.secret_file):
        raise ChannelError(name, "secret_file: expected the name of a file in secrets, no path")
    if one.secret_env and one.secret_file:
        raise ChannelError(name, "give secret_env or secret_file, not both")
    needs_secret = one.type in ("slack", "webhook", "pagerduty", "apprise")
    if needs_secret and not (one.secret_env or one.secret_file):
        raise ChannelError(name, "secret_env is missing: the variable that holds its secret")
    if one.url is not None:
        check_url(name, one.url)
    _check_type(one)
    return one


def check_url(name: str, url: str) -> None:
    """Refuse what is not plain http or https.

    Raises:
        ChannelError: saying so, without the URL: it may be a secret.
    """
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_fine = is_fine and parts.username is None and parts.password is None
        _ = parts.port
    except ValueError:
        is_fine = False
    if not is_fine or len(url) > _URL_MAX or not url.isprintable() or " " in url:
        raise ChannelError(name, "url: expected http:// or https://, a host, and no password")


def _check_type(one: Channel) -> None:
    if one.type == "webhook" and one.url is None:
        raise ChannelError(one.name, "url is missing")
    if one.type == "slack" and one.url is not None:
        raise ChannelError(one.name, "url: a Slack URL is a secret; put it into secret_env")
    if one.type == "email":
        if not one.smtp_host or not one.mail_from or not one.mail_to:
            raise ChannelError(one.name, "expected smtp_host, mail_from and mail_to")
        for address in (one.mail_from, *one.mail_to):
            if not _ADDRESS.fullmatch(address):
                raise ChannelError(one.name, f"{address[:64]!r} is not a mail address")
        if one.smtp_user and one.smtp_security == "none":
            raise ChannelError(one.name, "smtp_security: a password is not sent in the clear")


def channels_in_force(books: Books) -> dict[str, Channel]:
    """Return every channel by name; those that cannot be read are left out.

    Raises:
        BooksError: the books cannot be read.
    """
    found = {}
    for name, document in newest_documents(books, Subject.CHANNEL).items():
        body = msgspec.json.decode(document.body, type=dict[str, Any])
        if body == _REMOVED:
            continue
        try:
            found[name] = read_channel(name, body)
        except ChannelError:
            continue
    return found


def put_channel(
    books: Books, name: str, body: dict[str, Any], *, author: str | None, reason: str
) -> Channel:
    """Keep a channel.

    Raises:
        ChannelError: naming what is wrong with it.
        DocumentError: the reason is empty.
        BooksError: the books cannot be written.
    """
    one = read_channel(name, body)
    _put(books, name, body, author, reason)
    return one


def drop_channel(books: Books, name: str, *, author: str | None, reason: str) -> None:
    """Remove a channel; its log stays.

    Raises:
        ChannelError: there is no such channel.
        DocumentError: the reason is empty.
        BooksError: the books cannot be written.
    """
    if name not in newest_documents(books, Subject.CHANNEL):
        raise ChannelError(name, "there is no such channel; see tollbook alerts channels")
    _put(books, name, dict(_REMOVED), author, reason)


def _put(books: Books, name: str, body: dict[str, Any], author: str | None, reason: str) -> None:
    put_document(
        books, Subject.CHANNEL, name, msgspec.json.encode(body).decode(),
        effective_from_ns=clock.unix_ns(), author=author, reason=reason,
    )  # fmt: skip


def hears(one: Channel, event: str, incident: Incident, rules: dict[str, Rule]) -> bool:
    """Whether a channel is told of an event of an incident.

    A rule that names channels is told there and nowhere else. A channel of a tenant hears of that
    tenant's incidents only, whoever names it.
    """
    if one.is_paused or event not in one.events:
        return False
    if one.tenant is not None and incident.tenant != one.tenant:
        return False
    if SEVERITIES.index(incident.severity) < SEVERITIES.index(one.severity):
        return False
    if one.rules and not set(one.rules) & set(incident.rules):
        return False
    named = [rules[name].channels for name in incident.rules if name in rules]
    if named and all(named):
        return any(one.name in some for some in named)
    return True
