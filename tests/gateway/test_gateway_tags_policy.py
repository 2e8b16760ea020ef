"""Tags by policy: nothing unless asked for, pseudonyms, profiles, and never the wrong provider."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.kit import CHAT_BODY, FakeKeys, Provider, answer, replying, run
from tests.gateway.provider_kit import ACME, BOUND, gateway_for, post

from tollbook.capture.gateway.tagging import SecretError, pseudonym
from tollbook.simulator.process import start_in_subprocess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.kit import Received

SECRET = "a-secret-of-sixteen-and-more"
CHAT = "/openai/v1/chat/completions"
KEYS = {"OPENAI": "sk-provider", "TAG_SECRET": SECRET}
IDENTITY = {"identity": {"pseudonym_secret_env": "TAG_SECRET"}}
WHO = (
    "x-tollbook-feature: Search\r\nx-tollbook-workflow: nightly-9\r\nx-tollbook-agent-run: r-9\r\n"
    "baggage: user.id=user-9\r\n"
)
NAMES = ("acme", "u-7", "user-9", "search", "Search", "nightly-9", "r-9", "tb-")


def provider(**tags: Any) -> dict[str, dict[str, Any]]:
    return {"openai": {"dialect": "openai", "api_key_env": "OPENAI", "tags": tags}}


async def sent(
    providers: dict[str, dict[str, Any]], request: bytes, server: Provider | None = None
) -> Received:
    async with gateway_for(providers, environ=KEYS, settings=IDENTITY, server=server) as gateway:
        assert (await gateway.ask(request)).status == 200
        return gateway.provider.requests[-1]


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "bedrock", "gemini", "cohere"])
def test_by_default_a_provider_learns_nothing(dialect: str) -> None:
    paths = {
        "openai": "/p/v1/responses", "anthropic": "/p/v1/messages",
        "bedrock": "/p/model/m/converse", "cohere": "/p/v2/chat",
        "gemini": "/p/v1/projects/p/locations/eu/publishers/google/models/m:generateContent",
    }  # fmt: skip
    body = b'{"model":"m","messages":[],"store":true}'
    providers = {"p": {"dialect": dialect, "api_key_env": "OPENAI"}}
    seen = run(sent(providers, post(paths[dialect], body, headers=WHO)))
    assert seen.body == body
    everything = seen.line + str(seen.headers)
    assert not [name for name in NAMES if name in everything]


def test_only_what_the_policy_names_is_told() -> None:
    seen = run(
        sent(
            provider(feature="plain"),
            post("/openai/v1/responses", b'{"model":"m","input":"x"}', headers=WHO),
        )
    )
    assert json.loads(seen.body) == {
        "metadata": {"tollbook_feature": "search"}, "model": "m", "input": "x",
    }  # fmt: skip


def test_plain_and_pseudonym() -> None:
    tags = {"tenant": "plain", "user": "pseudonym", "workflow": "plain", "run": "plain"}
    seen = run(sent(provider(**tags), post("/openai/v1/responses", b'{"input":"x"}', headers=WHO)))
    read = json.loads(seen.body)
    user = "tb-" + hmac.new(
        SECRET.encode(), b"user\0acme\0u-7", hashlib.sha256
    ).hexdigest()[:32]  # fmt: skip
    assert read["metadata"] == {
        "tollbook_tenant": "acme", "tollbook_user": user, "tollbook_workflow": "nightly-9",
        "tollbook_run": "r-9",
    }  # fmt: skip
    assert read["safety_identifier"] == user
    assert "u-7" not in seen.body.decode()


def test_the_tenant_may_stand_for_its_users() -> None:
    tags = {"tenant": "pseudonym", "user": "plain", "end_user": "tenant"}
    read = json.loads(run(sent(provider(**tags), post(CHAT, CHAT_BODY))).body)
    assert read["safety_identifier"] == pseudonym(SECRET.encode(), "tenant", "acme")


def test_openrouter_is_known_by_its_name_or_its_prices() -> None:
    for name, more in (("openrouter", {}), ("router", {"list_prices": "openrouter"})):
        providers = {
            name: {
                "dialect": "openai",
                "api_key_env": "OPENAI",
                "tags": {"tenant": "plain"},
                **more,
            }
        }
        request = post(f"/{name}/v1/chat/completions", b'{"store":true,"messages":[]}')
        seen = run(sent(providers, request))
        assert json.loads(seen.body) == {"user": "acme", "store": True, "messages": []}


def test_a_caller_without_identity_is_not_told_of() -> None:
    async def main() -> None:
        async with gateway_for(
            provider(tenant="plain"), environ=KEYS, settings=IDENTITY
        ) as gateway:
            assert (await gateway.ask(post(CHAT, CHAT_BODY, key="sk-own"))).status == 200
            assert gateway.provider.requests[0].body == CHAT_BODY

    run(main())


def test_a_callers_own_key_changes_nothing_about_the_policy() -> None:
    request = post(CHAT, CHAT_BODY, key="sk-own", headers="x-tollbook-tenant: globex\r\n")
    seen = run(sent(provider(tenant="plain"), request))
    assert json.loads(seen.body)["safety_identifier"] == "globex"


def test_a_fallback_is_told_by_its_own_policy_only() -> None:
    error = answer(b'{"error":{"message":"x","type":"t"}}', "500 Internal Server Error")

    async def main() -> None:
        providers: dict[str, dict[str, Any]] = {
            "one": {"dialect": "openai", "api_key_env": "OPENAI", "tags": {"tenant": "plain"}},
            "two": {"dialect": "openai", "api_key_env": "OPENAI"},
        }
        route = {
            "models": ["gpt*"], "targets": [{"provider": "one"}],
            "fallbacks": [{"provider": "two"}], "retries": 0,
        }  # fmt: skip
        settings = {**IDENTITY, "routes": {"chat": route}}
        server = Provider(replying(error, answer()))
        async with gateway_for(
            providers, environ=KEYS, settings=settings, server=server
        ) as gateway:
            assert (await gateway.ask(post("/v1/chat/completions", CHAT_BODY))).status == 200
            first, second = gateway.provider.requests
            assert json.loads(first.body)["safety_identifier"] == "acme"
            assert second.body == CHAT_BODY

    run(main())


def bedrock(**tags: Any) -> dict[str, dict[str, Any]]:
    return {"bedrock": {"dialect": "bedrock", "api_key_env": "OPENAI", "tags": tags}}


INVOKE = "/bedrock/model/us.anthropic.claude-haiku-4-5/invoke"
BODY = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[]}'


def test_invoke_carries_a_header_unless_the_client_set_it() -> None:
    seen = run(sent(bedrock(tenant="plain"), post(INVOKE, BODY)))
    assert seen.body == BODY
    assert seen.header("x-amzn-bedrock-request-metadata") == '{"tollbook_tenant":"acme"}'
    own = 'X-Amzn-Bedrock-Request-Metadata: {"team":"a"}\r\n'
    seen = run(sent(bedrock(tenant="plain"), post(INVOKE, BODY, headers=own)))
    assert seen.header("x-amzn-bedrock-request-metadata") == '{"team":"a"}'


ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/acme1"
ENCODED = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Facme1"


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ({"acme": ARN}, ENCODED),
        ({"acme": {"us.anthropic.claude-haiku-4-5": ARN}}, ENCODED),
        ({"acme": {"another-model": ARN}}, "us.anthropic.claude-haiku-4-5"),
        ({"globex": ARN}, "us.anthropic.claude-haiku-4-5"),
    ],
)
def test_a_tenants_calls_go_to_its_own_profile(profiles: dict[str, Any], expected: str) -> None:
    async def main() -> None:
        async with gateway_for(bedrock(profiles=profiles), environ=KEYS) as gateway:
            assert (await gateway.ask(post(INVOKE, BODY))).status == 200
            (seen,) = gateway.provider.requests
            assert seen.line == f"POST /model/{expected}/invoke HTTP/1.1"
            assert seen.body == BODY
            opened = gateway.sink.opened[0]
            assert opened.model_requested == "us.anthropic.claude-haiku-4-5"

    run(main())


def test_a_profile_that_the_client_chose_stays() -> None:
    other = ENCODED.replace("acme1", "theirs")
    path = f"/bedrock/model/{other}/converse"
    seen = run(sent(bedrock(profiles={"acme": ARN}), post(path, b'{"messages":[]}')))
    assert seen.line == f"POST /model/{other}/converse HTTP/1.1"


def test_what_streams_through_is_not_touched() -> None:
    request = post("/openai/v1/files", b'{"purpose":"batch"}')
    seen = run(sent(provider(tenant="plain"), request))
    assert seen.body == b'{"purpose":"batch"}'


def test_a_batch_is_told_of() -> None:
    body = b'{"input_file_id":"f","endpoint":"/v1/chat/completions","completion_window":"24h"}'
    seen = run(sent(provider(tenant="plain"), post("/openai/v1/batches", body)))
    assert json.loads(seen.body)["metadata"] == {"tollbook_tenant": "acme"}


@pytest.mark.parametrize("secret", [None, "", "too-short"])
def test_pseudonyms_need_a_secret(secret: str | None) -> None:
    environ = {"OPENAI": "k"} if secret is None else {"OPENAI": "k", "TAG_SECRET": secret}

    async def main(settings: dict[str, Any]) -> None:
        async with gateway_for(provider(tenant="pseudonym"), environ=environ, settings=settings):
            pass

    with pytest.raises(SecretError, match=r"identity\.pseudonym_secret_env"):
        run(main(IDENTITY))
    with pytest.raises(SecretError, match="is not set"):
        run(main({}))


@given(first=st.text(min_size=1), second=st.text(min_size=1), kinds=st.tuples(st.text(), st.text()))
def test_pseudonyms_are_stable_and_tell_people_apart(
    first: str, second: str, kinds: tuple[str, str]
) -> None:
    key = SECRET.encode()
    one = pseudonym(key, "tenant", first)
    assert one == pseudonym(key, "tenant", first)
    assert (one == pseudonym(key, "tenant", second)) == (first == second)
    assert one != pseudonym(key + b"x", "tenant", first)
    assert one != pseudonym(key, "user", first)
    assert len(one) == 35
    assert one.isascii()
    assert one == one.lower()
    assert first not in one or len(first) < 4
    del kinds


def test_users_of_two_tenants_are_two_pseudonyms() -> None:
    other = BOUND.__class__(api_key_id="k2", tenant_id="globex", user_id="u-7")

    async def main() -> set[str]:
        keys = FakeKeys(**{ACME: BOUND, "tb_globex": other})
        async with gateway_for(
            provider(user="pseudonym"), environ=KEYS, settings=IDENTITY, keys=keys
        ) as gateway:
            for key in (ACME, "tb_globex", ACME):
                assert (await gateway.ask(post(CHAT, CHAT_BODY, key=key))).status == 200
            return {
                json.loads(seen.body)["safety_identifier"] for seen in gateway.provider.requests
            }

    assert len(run(main())) == 2


def test_official_clients_with_tags_against_the_simulator(tmp_path: Path) -> None:
    tags = {"tenant": "pseudonym", "user": "pseudonym", "feature": "plain", "workflow": "plain"}

    async def main(base_url: str) -> None:
        providers = {
            name: {
                "dialect": name, "api_key_env": "OPENAI", "base_url": f"{base_url}/{name}",
                "tags": tags,
            }
            for name in ("openai", "anthropic")
        }  # fmt: skip
        environ = {**KEYS, "OPENAI": "sk-sim-provider"}
        async with gateway_for(providers, environ=environ, settings=IDENTITY) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            async with openai.AsyncOpenAI(
                api_key=ACME, base_url=f"{url}/openai/v1", max_retries=0
            ) as one:
                chat = await one.chat.completions.create(
                    model="gpt-4o-mini", store=True, metadata={"mine": "yes"},
                    messages=[{"role": "user", "content": "hi"}],
                )  # fmt: skip
                assert chat.usage is not None
                response = await one.responses.create(model="gpt-4o-mini", input="hi")
                assert response.usage is not None
                async for _ in await one.chat.completions.create(
                    model="gpt-4o-mini", stream=True, messages=[{"role": "user", "content": "hi"}]
                ):
                    pass
            async with anthropic.AsyncAnthropic(
                api_key=ACME, base_url=f"{url}/anthropic", max_retries=0
            ) as two:
                message = await two.messages.create(
                    model="claude-haiku-4-5", max_tokens=20,
                    messages=[{"role": "user", "content": "hi"}],
                )  # fmt: skip
                assert message.usage.output_tokens > 0
            closed = await gateway.closed_calls(4)
            assert [one.status.value for one in closed] == ["ok"] * 4
            assert all(one.usage for one in closed)

    with start_in_subprocess(tmp_path / "truth") as simulator:
        asyncio.run(main(simulator.base_url))
