"""Channels against receivers of the test's own: HTTP, and a small SMTP server."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import socketserver
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from msgspec.structs import replace
from tests.alerts.alerts_kit import NOW, House
from tests.alerts.test_alerts_incidents import RULES, signal, turn

from tollbook.alerts import send as sending
from tollbook.alerts.cause import Cause, Driver
from tollbook.alerts.channel import ChannelError, put_channel, read_channel
from tollbook.alerts.delivery import Courier, State, list_deliveries, plan
from tollbook.alerts.evaluate import Evaluation
from tollbook.alerts.keeper import Keeper, News, Told
from tollbook.alerts.message import Message, message_of
from tollbook.alerts.send import Sent, send
from tollbook.alerts.shelf import BooksShelf, MemoryShelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.alerts.incident import Incident

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers what it was told to."""

    answers: ClassVar[list[tuple[int, dict[str, str]]]] = []
    got: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        Receiver.got.append((self.path, headers, body))
        status, extra = Receiver.answers.pop(0) if Receiver.answers else (200, {})
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"no, and your key is hush")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- of the base class
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.answers.clear()
    Receiver.got.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def incident(**more: Any) -> Incident:
    shelf = MemoryShelf()
    drivers = (
        Driver(depth=0, path=("acme",), excess_usd="5.000000000000", share_percent=80),
        Driver(depth=0, path=("globex",), excess_usd="1.000000000000", share_percent=20),
        Driver(depth=1, path=("acme", "chat"), excess_usd="5.000000000000", share_percent=80),
    )
    cause = Cause(key="k", tenant=more.pop("tenant", "acme"), drivers=drivers)
    turn(Keeper(shelf), NOW, signal(NOW, **more), cause=cause)
    return shelf.found[1]


def message(event: str = "trigger", **channel: Any) -> Message:
    one = read_channel("ops", {"type": "slack", "secret_env": "SLACK_URL"} | channel)
    return message_of(event, incident(), one, "msg_1", "https://console.example", NOW)


def test_a_webhook_is_signed_as_standard_webhooks_says(receiver: str) -> None:
    channel = read_channel("hook", {"type": "webhook", "url": f"{receiver}/in",
                                    "secret_env": "WEBHOOK_SECRET"})  # fmt: skip
    assert send(channel, message(), SECRET) == Sent(True, 200)
    ((path, headers, body),) = Receiver.got
    assert path == "/in"
    stamp = headers["webhook-timestamp"]
    signed = b".".join([headers["webhook-id"].encode(), stamp.encode(), body])
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    told = json.loads(body)
    assert told["type"] == "incident.trigger"
    assert told["data"]["title"] == "Burn rate: tenant acme"
    assert told["data"]["query_url"].startswith("https://console.example/calls?since=2026-03-12T14")


def test_slack_takes_text_whose_names_mean_nothing(receiver: str) -> None:
    channel = read_channel("ops", {"type": "slack", "secret_env": "SLACK_URL"})
    evil = replace(message(), title="<!channel> & <https://x|y>")
    assert send(channel, evil, f"{receiver}/services/T0/B0/hush").is_delivered
    text = json.loads(Receiver.got[0][2])["text"]
    assert "<" not in text
    assert "&lt;!channel&gt; &amp;" in text
    assert "https://console.example/incident?id=1" in text


def test_pagerduty_events_have_one_key_from_trigger_to_resolve(receiver: str) -> None:
    channel = read_channel("pd", {"type": "pagerduty", "url": f"{receiver}/v2/enqueue",
                                  "secret_env": "PAGERDUTY_KEY"})  # fmt: skip
    for event in ("trigger", "acknowledge", "resolve"):
        assert send(channel, message(event), "R0UTE").is_delivered
    bodies = [json.loads(body) for _, _, body in Receiver.got]
    assert [one["event_action"] for one in bodies] == ["trigger", "acknowledge", "resolve"]
    assert len({one["dedup_key"] for one in bodies}) == 1
    assert {one["routing_key"] for one in bodies} == {"R0UTE"}
    assert bodies[0]["payload"]["severity"] == "critical"
    assert bodies[0]["links"][1]["href"].startswith("https://console.example/calls?")


class Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as one message needs."""

    mails: ClassVar[list[str]] = []
    refuses: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text.decode())
                Mailbox.mails.append("".join(lines))
                self.wfile.write(b"250 kept\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            elif verb == b"RCPT" and Mailbox.refuses:
                self.wfile.write(Mailbox.refuses.pop())
            else:
                self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def mailbox() -> Iterator[int]:
    Mailbox.mails.clear()
    Mailbox.refuses.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def mail(port: int, **more: Any) -> Any:
    return read_channel("mail", {
        "type": "email", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none",
        "mail_from": "tollbook@example.org", "mail_to": ["ops@example.org"],
    } | more)  # fmt: skip


def test_mail_arrives_and_its_head_is_one_line(mailbox: int) -> None:
    evil = replace(message(), title="acme\r\nBcc: everybody@example.org")
    assert send(mail(mailbox), evil, None).is_delivered
    (text,) = Mailbox.mails
    head = text.partition("\r\n\r\n")[0]
    body = email.message_from_string(text, policy=email.policy.default).get_content()
    assert "Subject: [Open] critical: acme" in head
    assert not any(line.lower().startswith("bcc") for line in head.splitlines())
    assert "References: <tollbook-incident-1@tollbook>" in head
    assert "Incident: https://console.example/incident?id=1" in body


def test_mail_that_is_refused_or_not_reached_is_a_value(mailbox: int) -> None:
    Mailbox.refuses.append(b"550 nobody here\r\n")
    refused = send(mail(mailbox), message(), None)
    assert (refused.is_delivered, refused.is_final) == (False, True)
    silent = send(mail(1), message(), None)
    assert (silent.is_delivered, silent.is_final) == (False, False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own modules
def test_apprise_is_used_for_others(receiver: str) -> None:
    channel = read_channel("other", {"type": "apprise", "secret_env": "APPRISE_URL"})
    assert send(channel, message(), receiver.replace("http://", "json://")).is_delivered
    assert json.loads(Receiver.got[0][2])["title"].startswith("[Open] critical")
    assert send(channel, message(), "nonsense").is_final


@pytest.mark.parametrize(("status", "is_final"), [(500, False), (429, False), (408, False),
                                                  (404, True), (302, True)])  # fmt: skip
def test_what_is_tried_again_and_what_is_not(receiver: str, status: int, is_final: bool) -> None:  # noqa: FBT001 -- a parameter
    Receiver.answers.append((status, {"location": f"{receiver}/elsewhere"}))
    channel = read_channel("ops", {"type": "slack", "secret_env": "SLACK_URL"})
    sent = send(channel, message(), f"{receiver}/hush")
    assert (sent.is_delivered, sent.is_final, sent.status) == (False, is_final, status)
    assert len(Receiver.got) == 1, "a redirect is not followed"
    assert "hush" not in (sent.detail or "") or f"{receiver}/hush" not in (sent.detail or "")


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "http://[fe80::1]/x",
                                 "http://0.0.0.0/"])  # fmt: skip
def test_link_local_hosts_are_not_sent_to(url: str) -> None:
    channel = read_channel("hook", {"type": "webhook", "url": url, "secret_env": "WEBHOOK_KEY"})
    sent = send(channel, message(), SECRET)
    assert (sent.is_delivered, sent.is_final) == (False, True)
    assert "link-local" in (sent.detail or "")


@pytest.mark.parametrize(("body", "words"), [
    ({"type": "webhook", "url": "file:///etc/passwd", "secret_env": "WEBHOOK_KEY"}, "http"),
    ({"type": "webhook", "url": "http://u:p@host/", "secret_env": "WEBHOOK_KEY"}, "no password"),
    ({"type": "webhook", "url": "http://host/", "secret_env": "OPENAI_API_KEY"}, "secret_env"),
    ({"type": "webhook", "url": "http://host/", "secret_file": "../books.sqlite"}, "secret_file"),
    ({"type": "webhook", "url": "http://host/"}, "secret_env is missing"),
    ({"type": "webhook", "secret_env": "WEBHOOK_KEY"}, "url is missing"),
    ({"type": "slack", "url": "https://hooks.slack.com/x", "secret_env": "SLACK_URL"}, "a secret"),
    ({"type": "email", "smtp_host": "h", "mail_from": "a@b"}, "mail_to"),
    ({"type": "email", "smtp_host": "h", "mail_from": "a@b", "mail_to": ["x\nBcc: y@z"]}, "mail"),
    ({"type": "pigeon"}, "pigeon"),
])  # fmt: skip
def test_a_channel_that_cannot_be_is_told(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        read_channel("ops", body)


def told(house: House, one: Incident, event: Told = Told.TRIGGER) -> list[str]:
    plan(house.books, [News(event, one)], RULES, "http://console", NOW)
    return [delivery.channel for delivery in reversed(list_deliveries(house.books))]


def test_routing_by_severity_rule_and_tenant(house: House) -> None:
    base: dict[str, Any] = {"type": "slack", "secret_env": "SLACK_URL"}
    some: dict[str, dict[str, Any]] = {
        "all": {}, "critical": {"severity": "critical"}, "runs": {"rules": ["runaway-run"]},
        "acme": {"tenant": "acme"}, "globex": {"tenant": "globex"}, "off": {"is_paused": True},
        "acks": {"events": ["acknowledge"]},
    }  # fmt: skip
    for name, more in some.items():
        put_channel(house.books, name, base | more, author="ada", reason="test")
    assert told(house, incident()) == ["acme", "all", "critical"]


def test_a_tenants_channel_hears_no_name_of_another(house: House) -> None:
    put_channel(house.books, "acme", {"type": "slack", "secret_env": "SLACK_URL",
                                      "tenant": "acme"}, author="ada", reason="test")  # fmt: skip
    one = incident(rule="burn-rate", entity=("acme",))
    told(house, one)
    (delivery,) = list_deliveries(house.books)
    assert "globex" not in str(delivery.message)
    assert [driver["tenant"] for driver in delivery.message.drivers] == ["acme", "acme"]
    # Nor of what is nobody's or several tenants'.
    assert told(house, incident(tenant=None)) == ["acme"]
    assert told(house, incident(tenant="globex")) == ["acme"]


def planned(house: House) -> None:
    put_channel(house.books, "ops", {"type": "slack", "secret_env": "SLACK_URL"}, author="ada",
                reason="test")  # fmt: skip
    house.environ["SLACK_URL"] = "https://hooks.example/hush"
    turn(Keeper(BooksShelf(house.books)), NOW, signal(NOW))
    told(house, incident())


def test_failures_are_tried_again_with_growing_pauses_and_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(house)
    now = [NOW]
    monkeypatch.setattr("tollbook.clock.unix_ns", lambda: int(now[0].timestamp()) * 10**9)
    tries: list[Any] = []

    def refuse(channel: Any, sent: Message, secret: str | None) -> Sent:
        tries.append((now[0] - NOW, sent.message_id, secret))
        return Sent(False, 503, "busy")

    courier = Courier(house.books, house.environ, house.root, refuse)
    for second in range(0, 4000, 15):
        now[0] = NOW + timedelta(seconds=second)
        courier.deliver_due(now[0])
    waits = [int(one.total_seconds()) for one, _, _ in tries]
    assert waits == [0, 15, 45, 105, 225, 465, 945, 1905]
    assert len({number for _, number, _ in tries}) == 1
    assert {secret for _, _, secret in tries} == {"https://hooks.example/hush"}
    (delivery,) = list_deliveries(house.books)
    assert (delivery.state, delivery.tries, delivery.http_status) == (State.GIVEN_UP, 8, 503)


def test_a_restart_sends_what_was_planned_once(house: House) -> None:
    planned(house)
    sent: list[str] = []

    def take(channel: Any, one: Message, secret: str | None) -> Sent:
        sent.append(one.message_id)
        return Sent(True, 200)

    for _ in range(3):
        Courier(house.books, house.environ, house.root, take).deliver_due(NOW)
    assert len(sent) == 1
    assert list_deliveries(house.books)[0].state is State.DELIVERED


def test_a_channel_given_to_another_tenant_is_not_sent_older_messages(
    house: House,
) -> None:
    planned(house)
    put_channel(house.books, "ops", {"type": "slack", "secret_env": "SLACK_URL",
                                     "tenant": "globex"}, author="ada", reason="sold")  # fmt: skip

    def never(channel: Any, one: Message, secret: str | None) -> Sent:
        raise AssertionError(one)

    Courier(house.books, house.environ, house.root, never).deliver_due(NOW)
    assert list_deliveries(house.books)[0].state is State.GIVEN_UP


def test_secrets_are_in_no_document_and_no_log(house: House, receiver: str) -> None:
    planned(house)
    house.environ["SLACK_URL"] = f"{receiver}/hush-hush"
    Receiver.answers.append((500, {}))
    Courier(house.books, house.environ, house.root).deliver_due(NOW)
    assert Receiver.got
    with house.books.read() as connection:
        dump = "\n".join(connection.connection.iterdump())
    assert "hush-hush" not in dump


def test_a_secret_may_be_in_a_file(house: House) -> None:
    (house.root / "secrets").mkdir()
    (house.root / "secrets" / "slack").write_text("https://hooks.example/from-file\n")
    put_channel(house.books, "ops", {"type": "slack", "secret_file": "slack"}, author="ada",
                reason="test")  # fmt: skip
    told(house, incident())
    found: list[str | None] = []

    def take(channel: Any, one: Message, secret: str | None) -> Sent:
        found.append(secret)
        return Sent(True)

    Courier(house.books, {}, house.root, take).deliver_due(NOW)
    assert found == ["https://hooks.example/from-file"]


def test_an_evaluation_without_signals_tells_nobody(house: House) -> None:
    keeper = Keeper(BooksShelf(house.books))
    assert keeper.apply(Evaluation(NOW, (), frozenset(RULES), ()), [], RULES) == []
    assert plan(house.books, [], RULES, "", NOW) == 0
    assert sending.PAGERDUTY_URL.startswith("https://events.pagerduty.com/v2/")
