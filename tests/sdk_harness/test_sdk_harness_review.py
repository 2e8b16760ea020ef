"""What a stranger found: redirects, retries of another tenant, clients of one's own."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import groq
import httpx
import httpx2
import openai
import pytest
from tests.sdk_harness.harness_kit import CLAUDE, MESSAGES, MODEL, Seen
from tests.sdk_harness.test_sdk_harness_faults import ANSWER, Body

import tollbook
from tollbook.sdk.harness import faults, wrap
from tollbook.sdk.harness.clients import UnknownClientError
from tollbook.sdk.missing import MissingTenantError

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = "https://storage.example.com/object"
GATEWAY = "http://gateway.internal:8080"


def redirecting(module: Any, requests: list[Any]) -> Any:
    """Return a client whose gateway redirects to a host that nobody knows."""

    def answer(request: Any) -> Any:
        requests.append(request)
        if request.url.host == "gateway.internal":
            return module.Response(307, headers={"location": ELSEWHERE})
        return module.Response(200, content=ANSWER, headers={"content-type": "application/json"})

    transport = module.MockTransport(answer)
    return module.Client(transport=transport, follow_redirects=True)


@pytest.mark.parametrize("has_sink", ["sink", ""])
@pytest.mark.parametrize("maker", ["openai", "anthropic", "httpx"])
def test_a_redirect_from_the_gateway_takes_neither_identity_nor_key_along(
    maker: str, has_sink: str, seen: Seen
) -> None:
    requests: list[Any] = []
    tollbook.configure(gateway=GATEWAY, gateway_key="tb_key", sink=seen if has_sink else None)
    with tollbook.tenant("acme", user="ada"):
        if maker == "openai":
            known = openai.OpenAI(api_key="sk-own", http_client=redirecting(httpx2, requests))
            wrap(known).chat.completions.create(model=MODEL, messages=MESSAGES)
        elif maker == "anthropic":
            http_client = redirecting(httpx2, requests)
            wrap(anthropic.Anthropic(api_key="sk-own", http_client=http_client)).get(
                "/v1/files/file_1/content", cast_to=httpx2.Response
            )
        else:
            plain = wrap(redirecting(httpx, requests))
            plain.post("https://api.openai.com/v1/chat/completions", json={})
    first, second = requests
    assert first.headers["baggage"] == "tenant.id=acme,user.id=ada"
    assert "tb_key" in str(first.headers.raw)
    assert str(second.url) == ELSEWHERE
    said = str(second.headers.raw)
    assert "acme" not in said
    assert "tb_key" not in said
    assert "sk-own" not in said


def answering(requests: list[Any], statuses: list[int]) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        content = ANSWER if (status := statuses.pop(0)) == 200 else b"{}"
        return httpx2.Response(
            status, content=content, headers={"content-type": "application/json"}
        )

    return httpx2.Client(transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize("has_sink", ["sink", ""])
def test_no_provider_gets_identity_that_somebody_else_wrote(has_sink: str, seen: Seen) -> None:
    requests: list[Any] = []
    tollbook.configure(sink=seen if has_sink else None)
    client = wrap(openai.OpenAI(api_key="k", http_client=answering(requests, [200, 200])))
    theirs = {"baggage": "tenant.id=acme", "x-tollbook-user": "ada"}
    client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=theirs)
    client.models.list(extra_headers=theirs)
    for request in requests:
        assert not {"baggage", "x-tollbook-user"} & set(request.headers)


def test_the_same_text_of_another_tenant_is_no_retry(seen: Seen) -> None:
    http_client = answering([], [500, 200, 500, 200])
    client = wrap(openai.OpenAI(api_key="k", http_client=http_client, max_retries=0), sink=seen)
    with tollbook.tenant("acme"), pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    with tollbook.tenant("globex"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    with tollbook.tenant("acme"):
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    of_acme, of_globex, _, again = (one.opened for one in seen.settled())
    assert (of_globex.attempt, of_globex.retry_of, of_globex.operation_id) == (1, None, None)
    assert again.attempt == 3, "of the first, and of the one before"
    assert again.operation_id is not None
    assert of_acme.identity.tenant_id == "acme"


@pytest.mark.parametrize("name", ["anthropic", "groq", "openai"])
@pytest.mark.parametrize("gateway", [None, GATEWAY])
def test_a_missing_tenant_is_raised_by_clients_that_try_again(
    name: str, gateway: str | None, seen: Seen
) -> None:
    requests: list[Any] = []
    module = httpx if name == "groq" else httpx2
    http_client = redirecting(module, requests)
    tollbook.configure(missing_tenant="raise", sink=seen, gateway=gateway)
    known: Any
    if name == "anthropic":
        known = wrap(anthropic.Anthropic(api_key="k", http_client=http_client))
        messages = known.with_options(timeout=3).messages
        send = partial(messages.create, model=CLAUDE, max_tokens=5, messages=MESSAGES)
    else:
        maker = groq.Groq if name == "groq" else openai.OpenAI
        known = wrap(maker(api_key="k", http_client=http_client))
        send = partial(known.chat.completions.create, model=MODEL, messages=MESSAGES)
    with pytest.raises(MissingTenantError) as raised:
        send()
    assert "test_sdk_harness_review.py" in raised.value.call_site
    assert requests == []
    assert seen.settled() == []


def test_what_a_request_says_of_its_tenant_is_enough(seen: Seen) -> None:
    tollbook.configure(missing_tenant="raise", sink=seen)
    client = wrap(openai.OpenAI(api_key="k", http_client=answering([], [200, 200])))
    client.chat.completions.create(
        model=MODEL, messages=MESSAGES, extra_headers={"x-tollbook-tenant": "acme"}
    )
    client.models.list()
    assert seen.only().tenant == "acme"


class CorporateClient(openai.AzureOpenAI):
    """As applications have them."""


def test_a_subclass_of_a_cloud_s_client_is_of_that_cloud(seen: Seen) -> None:
    client = CorporateClient(
        api_key="k", azure_endpoint="https://llm.corp.example", api_version="2024-10-21",
        http_client=answering([], [200]),
    )  # fmt: skip
    wrap(client, sink=seen).chat.completions.create(model=MODEL, messages=MESSAGES)
    opened = seen.only().opened
    assert (opened.provider, opened.dialect) == ("azure", "azure")


def test_http_clients_that_provider_s_packages_make(seen: Seen) -> None:
    for made in (openai.DefaultHttpxClient, anthropic.DefaultHttpxClient):
        http_client = made(transport=answering([], [200])._transport)
        assert wrap(http_client, sink=seen) is http_client
        http_client.post("https://api.openai.com/v1/chat/completions", json={"model": MODEL})
    assert [one.opened.provider for one in seen.settled()] == ["openai", "openai"]


def test_what_is_no_client_is_named() -> None:
    with pytest.raises(UnknownClientError, match="is no client"):
        wrap(openai.OpenAI(api_key="k").chat.completions.with_raw_response)


def test_a_gateway_address_without_a_scheme_is_said_and_left_aside(seen: Seen) -> None:
    client = openai.OpenAI(api_key="k", http_client=answering([], [200]))
    wrap(client, gateway="127.0.0.1:8080", sink=seen)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).usage
    assert faults.counts == {"gateway": 1}
    assert len(seen.settled()) == 1


def test_an_answer_that_the_collector_closes_is_ended_elsewhere() -> None:
    """Not where it may find the sink with its lock held, by the very thread that it stopped."""
    ended_by: list[int] = []

    class Noting(Seen):
        def closed(self, opened: Any, frame: Any) -> None:
            ended_by.append(threading.get_ident())
            super().closed(opened, frame)

    def answer(_: httpx2.Request) -> httpx2.Response:
        head = {"content-type": "audio/mpeg", "transfer-encoding": "chunked"}
        return httpx2.Response(200, headers=head, stream=Body([b"a", b"b", b"c"]))

    seen = Noting()
    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = wrap(openai.OpenAI(api_key="k", http_client=http_client), sink=seen)

    def audio() -> Iterator[bytes]:
        speech = client.audio.speech.with_streaming_response
        with speech.create(model="tts-1", voice="alloy", input="hello") as response:
            yield from response.iter_bytes(chunk_size=1)

    pieces = audio()
    assert next(pieces) == b"a"
    del pieces
    assert len(seen.settled()) == 1
    assert ended_by
    assert threading.get_ident() not in ended_by
