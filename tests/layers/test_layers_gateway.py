"""Layers in the open frames that a gateway writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.gateway.kit import Gateway, Sink, chat, run, running
from tests.layers.layers_kit import layered_raw

from tollbook.layers import Section

if TYPE_CHECKING:
    from tollbook.call import CallOpened

CHUNK = "Refunds take two working days. " * 10
BODY = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": CHUNK + "When?"},
    ],
}
PLACE = f"retrieved=messages[1].content[0:{len(CHUNK)}]"


def asked(*requests: bytes) -> tuple[list[CallOpened], Gateway]:
    """Return the open frames of requests on connections of their own."""

    async def main() -> Gateway:
        async with running(sink=Sink()) as gateway:
            for request in requests:
                response = await gateway.ask(request)
                assert response.status == 200
            return gateway

    gateway = run(main())
    return gateway.sink.opened, gateway


def test_layers_arrive_in_the_frame() -> None:
    sent = json.dumps(BODY).encode()
    opened, _ = asked(chat(sent))
    found = layered_raw("openai", sent)
    assert found.layers is not None
    assert opened[0].layers == found.layers
    assert opened[0].prefix_hash == found.prefix_hash
    assert opened[0].prefix_chars == len("Be brief.")


def test_layers_header_marks_and_is_not_sent_on() -> None:
    sent = json.dumps(BODY).encode()
    opened, gateway = asked(
        chat(sent, headers=f"x-tollbook-layers: {PLACE}\r\nx-tollbook-tenant: acme\r\n"),
        chat(sent, headers="x-tollbook-tenant: acme\r\n"),
        chat(sent, headers=f"x-tollbook-layers: {PLACE}\r\nx-tollbook-tenant: acme\r\n"),
    )
    sections = [tuple((each.layers or ())[::2]) for each in opened]
    marked = (Section.SYSTEM, Section.RETRIEVED, Section.USER_INPUT)
    assert sections == [marked, (Section.SYSTEM, Section.USER_INPUT), marked]
    for each in opened:
        assert each.identity.tenant_id == "acme"
        assert each.identity.problems == ()
    for received in gateway.provider.requests:
        assert received.header("x-tollbook-layers") is None
        assert received.body == sent


def test_layers_header_alone_is_no_identity() -> None:
    opened, _ = asked(chat(json.dumps(BODY).encode(), headers=f"x-tollbook-layers: {PLACE}\r\n"))
    assert opened[0].identity.problems == ()
    assert opened[0].identity.tenant_id is None


def test_layers_header_that_names_nothing_is_a_problem_of_the_call() -> None:
    opened, _ = asked(
        chat(json.dumps(BODY).encode(), headers="x-tollbook-layers: retrieved=messages[7], x=1\r\n")
    )
    assert len(opened[0].identity.problems) == 2
    assert opened[0].layers == layered_raw("openai", json.dumps(BODY).encode()).layers


def test_layers_metadata_marks_and_is_not_sent_on() -> None:
    body = BODY | {"metadata": {"tollbook_layers": PLACE, "ticket": "7"}}
    opened, gateway = asked(chat(json.dumps(body).encode()))
    assert Section.RETRIEVED in (opened[0].layers or ())[::2]
    assert json.loads(gateway.provider.requests[0].body) == BODY | {"metadata": {"ticket": "7"}}


def test_layers_of_a_body_that_is_no_json() -> None:
    opened, _ = asked(chat(b"{not json", headers=f"x-tollbook-layers: {PLACE}\r\n"))
    assert opened[0].layers is None
    assert opened[0].prefix_hash is None


def test_layers_hold_no_text() -> None:
    secret = "the secret is 4711"
    body = {
        "messages": [{"role": "system", "content": secret}, {"role": "user", "content": secret}]
    }
    opened, _ = asked(
        chat(json.dumps(body).encode(), headers="x-tollbook-layers: memory=messages[0]\r\n")
    )
    assert secret not in repr(opened[0])
    assert "4711" not in repr(opened[0])
