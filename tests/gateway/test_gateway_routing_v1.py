"""Requests under /v1/: which route or provider serves them, and how they are made ready for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.gateway.kit import (
    ANSWER,
    USAGE,
    FakeKeys,
    Provider,
    Received,
    Response,
    answer,
    chat,
    get,
    replying,
    run,
)  # fmt: skip
from tests.gateway.routing_kit import KEY, V1_CHAT, Routed, ask, failing, route, routed

from tollbook.capture.gateway.routing.strategy import ListPrice
from tollbook.identity.claims import KeyBinding

CLAUDE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":'
    b'[{"type":"text","text":"hi"}],"stop_reason":"end_turn",'
    b'"usage":{"input_tokens":5,"output_tokens":7}}'
)
BOTH = {"claude": "anthropic"}


def error(response: Response) -> tuple[int, str]:
    """Return status and message of an error in OpenAI's shape."""
    return response.status, msgspec.json.decode(response.body)["error"]["message"]


def message(model: str = "claude-x", key: str = "tb_k") -> bytes:
    """Return a request for Anthropic's API."""
    body = b'{"model":"%b","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
    request = chat(body % model.encode(), path="/v1/messages")
    return request.replace(b"Authorization: Bearer sk-own", f"x-api-key: {key}".encode())


def test_the_model_chooses_the_route() -> None:
    async def main() -> None:
        providers = {name: Provider() for name in ("one", "two", "three")}
        routes = {
            "mini": route("one", models=["gpt-4o-mini*", "o3"]),
            "big": route("two", models=["gpt-4o*"]),
            "late": route("three", models=["gpt-4o-mini", "x?"]),
        }
        async with routed(providers, routes) as gateway:
            served = {}
            for model in ("gpt-4o-mini", "o3", "gpt-4o", "gpt-4o-2024-08-06", "x1"):
                assert (await gateway.ask(ask(model))).status == 200
                served[model] = gateway.sink.opened[-1].route
            assert served == {
                "gpt-4o-mini": "mini", "o3": "mini", "gpt-4o": "big", "gpt-4o-2024-08-06": "big",
                "x1": "late",
            }  # fmt: skip
            got = await gateway.ask(ask("gpt-5"))
            assert got.status == 404
            assert error(got)[1] == (
                "no route serves model 'gpt-5' under /v1/; add the model to models of a"
                " [routes.NAME], or set default = true in one of [providers.one], [providers.two],"
                " [providers.three]"
            )
            closed = gateway.sink.closed[-1]
            assert (closed.status, closed.is_billable) == ("rejected", False)
            assert gateway.sink.opened[-1].identity.tenant_id == "acme"

    run(main())


def test_the_path_chooses_the_api() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "claude": Provider(replying(answer(CLAUDE)))}
        routes = {"a": route("claude", models=["claude*"]), "o": route("one", models=["*"])}
        async with routed(providers, routes, dialects=BOTH) as gateway:
            assert (await gateway.ask(message())).body == CLAUDE
            assert (await gateway.ask(ask("claude-x"))).body == ANSWER
            embeddings = chat(b'{"model":"e","input":"hi"}', path="/v1/embeddings")
            await gateway.ask(embeddings.replace(b"sk-own", b"tb_k"))
            shown = [(each.dialect, each.operation, each.route) for each in gateway.sink.opened]
            assert shown == [
                ("anthropic", "chat", "a"), ("openai", "chat", "o"), ("openai", "embeddings", "o"),
            ]  # fmt: skip
            sent = providers["claude"].requests[0]
            assert sent.line == "POST /v1/messages HTTP/1.1"
            assert (sent.header("x-api-key"), sent.header("authorization")) == ("sk-claude", None)
            got = await gateway.ask(message("gpt-4o"))
            assert (got.status, got.body) == (200, CLAUDE), "the only provider of its API"

    run(main())


def test_without_a_route_the_only_provider_of_the_api_serves() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "claude": Provider(replying(answer(CLAUDE)))}
        async with routed(providers, dialects=BOTH) as gateway:
            assert (await gateway.ask(ask())).status == 200
            assert (await gateway.ask(message())).status == 200
            files = get("/v1/files").replace(b"sk-own", b"tb_k")
            assert (await gateway.ask(files)).status == 200
            models = get(
                "/v1/models", headers="anthropic-version: 2023-06-01\r\nx-api-key: tb_k\r\n"
            )
            assert (await gateway.ask(models)).status == 200
            lines = [each.line.split()[1] for each in providers["one"].requests]
            assert lines == ["/v1/chat/completions", "/v1/files"]
            lines = [each.line.split()[1] for each in providers["claude"].requests]
            assert lines == ["/v1/messages", "/v1/models"]
            assert {each.route for each in gateway.sink.opened} == {None}

    run(main())


def test_of_several_providers_the_default_serves() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        chosen = {"two": {"default": True}}
        routes = {"r": route("one", models=["a"])}
        async with routed(providers, routes, provider_settings=chosen) as gateway:
            await gateway.ask(ask("a"))
            await gateway.ask(ask("b"))
            await gateway.ask(get("/v1/files").replace(b"sk-own", b"tb_k"))
            nameless = chat(b'{"messages":[]}', path=V1_CHAT).replace(b"sk-own", b"tb_k")
            await gateway.ask(nameless)
            assert [each.provider for each in gateway.sink.opened] == ["one", "two", "two", "two"]
            assert [each.route for each in gateway.sink.opened] == ["r", None, None, None]

    run(main())


@pytest.mark.parametrize("has_routes", [True, False])
def test_with_several_providers_and_no_default_it_is_said_what_to_do(has_routes: bool) -> None:  # noqa: FBT001 -- a parameter
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        routes = {"r": route("one", models=["a"])} if has_routes else {}
        async with routed(providers, routes) as gateway:
            for request in (ask("b"), get("/v1/files")):
                status, said = error(await gateway.ask(request))
                assert status == 404
                assert "set default = true in one of [providers.one], [providers.two]" in said
            got = await gateway.ask(message())
            assert got.status == 404
            assert msgspec.json.decode(got.body)["type"] == "error", "in Anthropic's shape"
            assert gateway.seen() == {"one": 0, "two": 0}

    run(main())


def test_the_targets_own_model_path_and_head() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        targets = (
            {"provider": "one", "model": "deep/seek"},
            {"provider": "two", "model": "sonar-é", "prefix": ""},
        )
        async with routed({"one": one, "two": two}, {"r": route(*targets)}) as gateway:
            request = ask("m", path=V1_CHAT + "?a=b", more=b',"x": [1, 2.50,"\xc3\xa9"]')
            assert (await gateway.ask(request)).status == 200
            assert one.requests[0].line == "POST /v1/chat/completions?a=b HTTP/1.1"
            assert two.requests[0].line == "POST /chat/completions?a=b HTTP/1.1"
            assert b'"x":[1, 2.50,"\xc3\xa9"]' in two.requests[0].body.replace(b'"x": ', b'"x":')
            sent = [msgspec.json.decode(each.requests[0].body)["model"] for each in (one, two)]
            assert sent == ["deep/seek", "sonar-é"]
            assert [each.model_requested for each in gateway.sink.opened] == ["m", "m"]
            assert gateway.sink.opened[1].path == "/chat/completions"
            assert gateway.sink.opened[1].fallback_from == "one/deep/seek"

    run(main())


def test_each_provider_is_asked_for_usage_as_it_can_be() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        plain = {"one": {"inject_stream_usage": False}}
        async with routed(
            {"one": one, "two": two}, {"r": route("one", "two")}, provider_settings=plain
        ) as gateway:
            await gateway.ask(ask(more=b',"stream":true'))
            assert b"include_usage" not in one.requests[0].body
            assert b'"include_usage":true' in two.requests[0].body
            assert all(each.is_stream for each in gateway.sink.opened)

    run(main())


def test_a_callers_own_key_is_shown_to_one_provider_only() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        routes = {
            "mixed": route("one", "two", models=["a"]),
            "same": route("one", {"provider": "one", "model": "n"}, models=["b"]),
        }
        async with routed(providers, routes) as gateway:
            status, said = error(await gateway.ask(ask("a", key="sk-mine")))
            assert (status, "send a Tollbook key" in said) == (401, True)
            assert gateway.seen() == {"one": 0, "two": 0}
            assert (await gateway.ask(ask("b", key="sk-mine"))).status == 200
            assert providers["one"].requests[0].header("authorization") == "Bearer sk-mine"

    run(main())


def test_a_key_that_is_refused_reaches_nobody() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        async with routed(providers, {"r": route("one", "two")}) as gateway:
            for key in ("tb_wrong",):
                assert (await gateway.ask(ask(key=key))).status == 401
            none = ask().replace(b"Authorization: Bearer tb_k\r\n", b"")
            assert (await gateway.ask(none)).status == 401
            assert gateway.seen() == {"one": 0, "two": 0}

    run(main())


def test_a_key_may_be_limited_to_models() -> None:
    async def main() -> None:
        limited = KeyBinding(api_key_id="k", tenant_id="acme", models=("a*",))
        routes = {"r": route({"provider": "one", "model": "z"}, models=["a1", "a2", "b"])}
        async with routed({"one": Provider()}, routes, keys=FakeKeys(tb_k=limited)) as gateway:
            assert (await gateway.ask(ask("a1"))).status == 200
            assert (await gateway.ask(ask("b"))).status == 403
            listed = await gateway.ask(get("/v1/models").replace(b"sk-own", b"tb_k"))
            names = [each["id"] for each in msgspec.json.decode(listed.body)["data"]]
            assert names == ["a1", "a2"]
            one = await gateway.ask(get("/v1/models/b").replace(b"sk-own", b"tb_k"))
            assert one.status == 404

    run(main())


def test_a_target_without_a_key_is_passed_over() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        nothing = {"one": {"api_key_env": "NOT_SET"}}
        async with routed(
            providers, {"r": route("one", "two")}, provider_settings=nothing
        ) as gateway:
            assert (await gateway.ask(ask())).status == 200
            first, second = gateway.sink.closed
            assert (first.status, first.error_type) == ("rejected", "provider_key_missing")
            assert second.status == "ok"
            assert gateway.seen() == {"one": 0, "two": 1}

    run(main())


def test_the_list_of_models() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "claude": Provider(replying(answer(CLAUDE)))}
        routes = {
            "r": route("one", models=["gpt-4o", "gpt-4o-*", "o3"]),
            "s": route("one", models=["o3", "o4"]),
            "a": route("claude", models=["claude-x", "claude-y"]),
        }
        async with routed(providers, routes, dialects=BOTH) as gateway:
            models = get("/v1/models").replace(b"sk-own", b"tb_k")
            got = await gateway.ask(models)
            assert [each["id"] for each in msgspec.json.decode(got.body)["data"]] == [
                "gpt-4o", "o3", "o4",
            ]  # fmt: skip
            assert (await gateway.ask(get("/v1/models"))).status == 200, "with a key of one's own"
            for name, status in (("o3", 200), ("gpt-4o-x", 200), ("other", 404)):
                one = get(f"/v1/models/{name}").replace(b"sk-own", b"tb_k")
                got = await gateway.ask(one)
                assert got.status == status
                assert status == 404 or msgspec.json.decode(got.body)["id"] == name
            head = "anthropic-version: 2023-06-01\r\nx-api-key: tb_k\r\n"
            got = await gateway.ask(get("/v1/models", headers=head))
            listed = msgspec.json.decode(got.body)
            assert [each["id"] for each in listed["data"]] == ["claude-x", "claude-y"]
            assert (listed["first_id"], listed["has_more"]) == ("claude-x", False)
            for key in ("tb_wrong", ""):
                wrong = models.replace(b"tb_k", key.encode())
                assert (await gateway.ask(wrong)).status == 401
            assert not gateway.sink.opened, "no provider was asked"

    run(main())


def test_weights_are_shares() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        targets = ({"provider": "one", "weight": 3}, {"provider": "two", "weight": 1})
        async with routed(providers, {"r": route(*targets, strategy="weighted")}) as gateway:
            client = await gateway.client()
            for _ in range(400):
                client.send(ask())
                await client.response()
            assert gateway.seen()["one"] == pytest.approx(300, abs=30)
            assert {each.fallback_from for each in gateway.sink.opened} == {None}

    run(main())


@pytest.mark.parametrize("sticky_by", ["key", "tenant", "user"])
def test_the_same_caller_comes_to_the_same_target(sticky_by: str) -> None:
    async def main() -> None:
        providers = {name: Provider() for name in ("one", "two", "three")}
        bindings = {
            f"tb_{at}": KeyBinding(api_key_id=f"k{at}", tenant_id=f"t{at}") for at in range(30)
        }
        settings = route(*providers, strategy="weighted", sticky_by=sticky_by)
        async with routed(providers, {"r": settings}, keys=FakeKeys(**bindings)) as gateway:
            for key in list(bindings) * 3:
                await gateway.ask(ask(key=key))
            opened = gateway.sink.opened
            by_caller = {(each.identity.api_key_id, each.provider) for each in opened}
            assert len(by_caller) == 30
            assert len({each.provider for each in opened}) == 3

    run(main())


def test_a_sticky_target_that_fails_is_stood_in_for_by_the_same_other_one() -> None:
    async def main() -> None:
        providers = {name: Provider() for name in ("one", "two", "three")}
        settings = route(*providers, strategy="weighted", sticky_by="tenant")
        async with routed(providers, {"r": settings}) as gateway:
            await gateway.ask(ask())
            home = gateway.sink.opened[0].provider
            providers[home].handler = replying(failing("500 x"))
            for _ in range(10):
                await gateway.ask(ask())
            others = {each.provider for each in gateway.sink.opened} - {home}
            assert len(others) == 1

    run(main())


def test_the_fastest_target_is_found() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        async with routed(providers, {"r": route("one", "two", strategy="latency")}) as gateway:
            gateway.target("one").succeeded(5.0)
            for _ in range(50):
                await gateway.ask(ask())
            seen = gateway.seen()
            assert seen["two"] >= 40
            assert gateway.target("two").latency_s is not None

    run(main())


def test_the_cheapest_target_is_found() -> None:
    def price_of(provider: str, model: str) -> ListPrice | None:
        assert model == "m"
        return {"one": ListPrice(3, 3), "two": ListPrice(2, 2)}.get(provider)

    async def main() -> None:
        providers = {name: Provider() for name in ("none", "one", "two")}
        settings = route(*providers, strategy="cost")
        async with routed(providers, {"r": settings}, price_of=price_of) as gateway:
            for _ in range(5):
                await gateway.ask(ask())
            assert gateway.seen() == {"none": 0, "one": 0, "two": 5}

    run(main())


def test_a_head_that_is_known_is_routed_by_each_body() -> None:
    async def main() -> None:
        providers = {"one": Provider(), "two": Provider()}
        routes = {"a": route("one", models=["a"]), "b": route("two", models=["b"])}
        async with routed(providers, routes) as gateway:
            client = await gateway.client()
            for model in "abab":
                client.send(ask(model))
                assert (await client.response()).status == 200
            assert [each.route for each in gateway.sink.opened] == ["a", "b", "a", "b"]
            assert two_keys(providers) == {"Bearer sk-one": 2, "Bearer sk-two": 2}
            assert {each.identity.tenant_id for each in gateway.sink.opened} == {"acme"}

    run(main())


def two_keys(providers: dict[str, Provider]) -> Counter[str | None]:
    """Return how often each key was seen."""
    return Counter(
        each.header("authorization") for one in providers.values() for each in one.requests
    )


def test_identity_and_keys_of_the_client_stay_here() -> None:
    async def main() -> None:
        one, two = Provider(replying(failing("500 x"))), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            head = "x-tollbook-user: u1\r\nbaggage: feature=f1\r\nx-odd: kept\r\n"
            request = ask().replace(b"Content-Type", head.encode() + b"Content-Type")
            await gateway.ask(request)
            for sent in (one.requests[0], two.requests[0]):
                names = {name for name, _ in sent.headers}
                assert "x-odd" in names
                assert not names & {"x-tollbook-user", "baggage"}
            for each in gateway.sink.opened:
                assert (each.identity.user_id, each.identity.feature) == ("u1", "f1")

    run(main())


def test_a_tenant_that_is_missing_is_refused_once() -> None:
    async def main() -> None:
        nobody = FakeKeys(tb_k=KeyBinding(api_key_id="k"))
        async with routed(
            {"one": Provider()}, {"r": route("one")}, keys=nobody,
            identity={"missing_tenant": {"production": "refuse"}},
        ) as gateway:  # fmt: skip
            assert (await gateway.ask(ask())).status == 400
            assert [each.status for each in gateway.sink.closed] == ["rejected"]

    run(main())


def test_a_body_that_is_no_json_is_forwarded_to_the_default() -> None:
    async def main() -> None:
        one = Provider(replying(failing("400 x")))
        async with routed({"one": one}, {"r": route("one", models=["a"])}) as gateway:
            request = chat(b"not json", path=V1_CHAT).replace(b"sk-own", b"tb_k")
            assert (await gateway.ask(request)).status == 400
            assert one.requests[0].body == b"not json"

    run(main())


def test_the_prefix_of_a_provider_still_is_its_own() -> None:
    async def main() -> None:
        providers: dict[str, Any] = {"one": Provider(), "two": Provider()}
        async with routed(providers, {"r": route("one")}) as gateway:
            await gateway.ask(ask(path="/two/v1/chat/completions"))
            assert gateway.seen() == {"one": 0, "two": 1}
            got = await gateway.ask(ask(path="/v2/chat/completions"))
            assert got.status == 404
            got = await gateway.ask(ask(path="/v1"))
            assert got.status == 404

    run(main())


def usages(gateway: Routed) -> list[tuple[bytes, ...]]:
    """Return the usage of each call."""
    return [each.usage for each in gateway.sink.closed]


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def main() -> None:
        async def by_model(_: Provider, got: Received, __: Any, writer: Any) -> None:
            is_bad = b'"bad"' in got.body
            writer.write(failing("500 x") if is_bad else answer())

        one, two = Provider(by_model), Provider()
        async with routed({"one": one, "two": two}, {"r": route("one", "two")}) as gateway:
            client = await gateway.client()
            client.send(ask("bad") + ask("good") + ask("bad"))
            attempts = []
            for _ in range(3):
                got = await client.response()
                assert got.status == 200
                attempts.append(got.headers.get("x-tollbook-attempts", "1"))
            assert attempts == ["2", "1", "2"]
            assert usages(gateway).count((USAGE,)) == 3
            assert KEY.tenant_id == gateway.sink.opened[0].identity.tenant_id

    run(main())
