"""What only the path of a request says: its model, its stream, its region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from tests.gateway.kit import CHAT_BODY, FakeKeys, chat, get, run, running

from tollbook.call import CallOpened, Metering
from tollbook.dialects.base import RequestFacts, Route
from tollbook.dialects.openai import OpenAI
from tollbook.identity.claims import KeyBinding

if TYPE_CHECKING:
    from tests.gateway.kit import Response

PATH_ROUTE = Route(
    "chat",
    Metering.METERED,
    inspects_body=True,
    model="deployed-7",
    is_stream=True,
    region="eu-west-1",
)


def asking(
    route: Route, request: bytes, monkeypatch: pytest.MonkeyPatch, **facts: object
) -> tuple[list[CallOpened], Response]:
    """Send one request with a key limited to ``deployed-*`` where the path means this route."""
    read = OpenAI.read_request

    def read_request(
        self: OpenAI, route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
    ) -> RequestFacts:
        found = read(self, route, body, inject_stream_usage=inject_stream_usage, user_is=user_is)
        return structs.replace(found, **facts)

    monkeypatch.setattr(OpenAI, "route", lambda *_: route)
    monkeypatch.setattr(OpenAI, "read_request", read_request)
    binding = KeyBinding(
        api_key_id="k", tenant_id="acme", team_id=None, cost_center=None, feature=None,
        environment=None, models=("deployed-*",),
    )  # fmt: skip

    async def main() -> tuple[list[CallOpened], Response]:
        async with running(keys=FakeKeys(tb_k=binding)) as gateway:
            got = await gateway.ask(request.replace(b"sk-own", b"tb_k"))
            await gateway.closed_calls()
            return gateway.sink.opened, got

    return run(main())


def test_the_path_wins_over_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, got = asking(PATH_ROUTE, chat(), monkeypatch, asked={"n": 2})
    assert got.status == 200
    (call,) = opened
    assert (call.model_requested, call.is_stream, call.region) == ("deployed-7", True, "eu-west-1")
    assert call.asked == {"n": 2}


def test_what_the_path_does_not_say_is_the_bodys(monkeypatch: pytest.MonkeyPatch) -> None:
    route = structs.replace(PATH_ROUTE, model=None, is_stream=None, region=None)
    body = CHAT_BODY.replace(b"gpt-4o-mini", b"deployed-8")
    opened, _ = asking(route, chat(body), monkeypatch)
    (call,) = opened
    assert (call.model_requested, call.is_stream, call.region) == ("deployed-8", False, None)
    assert call.asked is None


def test_a_key_limited_to_models_is_checked_by_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    route = structs.replace(PATH_ROUTE, model="other")
    opened, got = asking(route, chat(), monkeypatch)
    assert got.status == 403
    assert opened[0].model_requested == "other"


@pytest.mark.parametrize("model", ["deployed-7", "other"])
def test_the_path_counts_where_the_body_is_not_read(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = structs.replace(PATH_ROUTE, inspects_body=False, model=model)
    opened, got = asking(route, get(method="POST"), monkeypatch)
    assert got.status == (200 if model == "deployed-7" else 403)
    assert opened[0].model_requested == model
