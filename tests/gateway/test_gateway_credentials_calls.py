"""Provider keys as calls meet them: rotation, refusals, client keys, fixed headers, no leaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.gateway.kit import ANSWER, CHAT_BODY, FakeKeys, Provider, answer, run, until
from tests.gateway.provider_kit import ACME, BOUND, gateway_for, post
from tests.gateway.socket_kit import handshake

from tollbook.books import open_books
from tollbook.books.directory import KeyDirectory
from tollbook.books.keys import create_key, revoke_key
from tollbook.capture.gateway.credentials.ring import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.gateway.kit import Gateway, Received, Response

CHAT = "/openai/v1/chat/completions"
ONE, TWO = "sk-first-Zq83nVx", "sk-second-Kp02wLm"


def ask(key: str | None = ACME, *, path: str = CHAT, headers: str = "") -> bytes:
    return post(path, CHAT_BODY, key=key, headers=headers)


class Judge(Provider):
    """Answers by the key of the request."""

    def __init__(self, **statuses: str) -> None:
        super().__init__(self._judge)
        self.statuses = statuses

    async def _judge(
        self, _: Provider, received: Received, __: object, writer: asyncio.StreamWriter
    ) -> None:
        key = (received.header("authorization") or "").removeprefix("Bearer ")
        status = self.statuses.get(key.split("-")[1] if "-" in key else "", "200 OK")
        error = b'{"error":{"message":"no","type":"t","code":"c"}}'
        writer.write(answer(ANSWER if status.startswith("200") else error, status))

    @property
    def keys(self) -> list[str]:
        return [
            (one.header("authorization") or "").removeprefix("Bearer ") for one in self.requests
        ]


async def eventually(
    gateway: Gateway, data: bytes, condition: Callable[[Response], bool]
) -> Response:
    """Ask until an answer is as it should be."""
    while True:
        response = await gateway.ask(data)
        if condition(response):
            return response
        await asyncio.sleep(0.05)


async def metrics(gateway: Gateway) -> str:
    return (await gateway.ask(b"GET /metrics HTTP/1.1\r\nHost: gw\r\n\r\n")).body.decode()


def test_a_key_file_is_rotated_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ONE)

    async def main() -> None:
        openai = {"dialect": "openai", "api_key_file": str(path)}
        server = Judge()
        async with gateway_for({"openai": openai}, server=server) as gateway:
            assert (await gateway.ask(ask())).status == 200
            (tmp_path / "next").write_text(TWO + "\n")
            os.replace(tmp_path / "next", path)  # noqa: PTH105 -- as a secret is rotated

            await eventually(gateway, ask(), lambda _: server.keys[-1] == TWO)
            assert set(server.keys) == {ONE, TWO}
            assert server.keys.index(TWO) == len(server.keys) - 1

    run(main())


def test_a_command_runs_while_calls_wait_for_the_first_key() -> None:
    command = [sys.executable, "-c", f"import time; time.sleep(0.3); print({ONE!r})"]

    async def main() -> None:
        openai = {"dialect": "openai", "api_key_command": command}
        server = Judge()
        async with gateway_for({"openai": openai}, server=server) as gateway:
            answers = await asyncio.gather(*[gateway.ask(ask()) for _ in range(5)])
            assert [one.status for one in answers] == [200] * 5
            assert server.keys == [ONE] * 5

    run(main())


def test_a_client_that_leaves_while_the_key_is_fetched_is_a_cancelled_call() -> None:
    command = [sys.executable, "-c", f"import time; time.sleep(0.5); print({ONE!r})"]

    async def main() -> None:
        openai = {"dialect": "openai", "api_key_command": command}
        server = Judge()
        async with gateway_for({"openai": openai}, server=server) as gateway:
            client = await gateway.client()
            client.send(ask())
            await until(lambda: gateway.sink.opened)
            client.close()
            closed = await gateway.closed_calls()
            assert (closed[0].status.value, closed[0].is_billable) == ("cancelled", False)
            assert (await gateway.ask(ask())).status == 200
            assert len(server.requests) == 1

    run(main())


def test_a_key_that_cannot_be_had_is_said_in_the_shape_of_the_api(tmp_path: Path) -> None:
    async def main() -> None:
        openai = {"dialect": "openai", "api_key_file": str(tmp_path / "none")}
        async with gateway_for({"openai": openai}) as gateway:
            response = await gateway.ask(ask())
            assert response.status == 500
            assert b'"provider_key_missing"' in response.body
            assert b"cannot be read" in response.body
            assert response.headers["x-should-retry"] == "false"
            closed = await gateway.closed_calls()
            assert not closed[0].is_billable
            assert gateway.provider.requests == []

    run(main())


def test_a_refused_key_is_benched_and_the_next_one_serves(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(TWO)

    async def main() -> None:
        keys = [{"env": "A", "weight": 3}, {"file": str(tmp_path / "b")}]
        server = Judge(first="401 Unauthorized")
        openai = {"dialect": "openai", "api_keys": keys}
        async with gateway_for({"openai": openai}, server=server, environ={"A": ONE}) as gateway:
            ring = gateway.service.upstreams[b"openai"].signer
            assert ring is not None
            await until(lambda: all(state.fingerprint for state in ring.states()))
            statuses = [(await gateway.ask(ask())).status for _ in range(6)]
            assert statuses.count(401) == 1
            assert statuses[-3:] == [200] * 3
            assert server.keys.count(ONE) == 1
            text = await metrics(gateway)
            assert re.search(
                rf'key_benched{{provider="openai",source="env A",key="{fingerprint(ONE)}"}} 1', text
            )
            assert re.search(
                rf'key="{fingerprint(TWO)}",outcome="ok"}} 5', text
            ), text  # fmt: skip

    run(main())


def test_a_rate_limited_key_leaves_calls_to_the_other() -> None:
    async def main() -> None:
        keys = [{"env": "A"}, {"env": "B"}]
        server = Judge(first="429 Too Many Requests")
        environ = {"A": ONE, "B": TWO}
        openai = {"dialect": "openai", "api_keys": keys}
        async with gateway_for({"openai": openai}, server=server, environ=environ) as gateway:
            ring = gateway.service.upstreams[b"openai"].signer
            assert ring is not None
            await until(lambda: all(state.fingerprint for state in ring.states()))
            for _ in range(6):
                await gateway.ask(ask())
            assert server.keys.count(ONE) == 1
            assert server.keys.count(TWO) == 5

    run(main())


def test_a_route_repeats_a_refused_call_with_the_next_key() -> None:
    async def main() -> None:
        server = Judge(first="401 Unauthorized")
        keys = [{"env": "A", "weight": 100}, {"env": "B"}]
        providers = {"openai": {"dialect": "openai", "api_keys": keys}}
        route = {
            "models": ["*"], "targets": [{"provider": "openai"}], "retries": 1,
            "retry_on": [401], "backoff_base_s": 0.01,
        }  # fmt: skip
        async with gateway_for(
            providers,
            server=server,
            environ={"A": ONE, "B": TWO},
            settings={"routes": {"r": route}},
        ) as gateway:
            ring = gateway.service.upstreams[b"openai"].signer
            assert ring is not None
            await until(lambda: all(state.fingerprint for state in ring.states()))
            response = await gateway.ask(ask(path="/v1/chat/completions"))
            assert response.status == 200
            assert server.keys == [ONE, TWO]
            closed = await gateway.closed_calls(2)
            assert [one.status.value for one in closed] == ["error", "ok"]

    run(main())


def test_a_socket_that_is_declined_benches_its_key_too() -> None:
    async def main() -> None:
        server = Judge(first="401 Unauthorized")
        keys = [{"env": "A", "weight": 9}, {"env": "B"}]
        environ = {"A": ONE, "B": TWO}
        openai = {"dialect": "openai", "api_keys": keys}
        async with gateway_for({"openai": openai}, server=server, environ=environ) as gateway:
            ring = gateway.service.upstreams[b"openai"].signer
            assert ring is not None
            await until(lambda: all(state.fingerprint for state in ring.states()))
            asking = handshake("/openai/v1/realtime?model=m", authorization=False)
            asking = asking.replace(
                b"\r\n\r\n", f"\r\nAuthorization: Bearer {ACME}\r\n\r\n".encode()
            )
            declined = await gateway.ask(asking)
            assert declined.status == 401
            await gateway.ask(asking)
            assert server.keys == [ONE, TWO]

    run(main())


def test_a_stream_through_endpoint_gets_a_key_too(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(ONE)

    async def main() -> None:
        openai = {"dialect": "openai", "api_key_file": str(tmp_path / "k")}
        server = Judge()
        async with gateway_for({"openai": openai}, server=server) as gateway:
            head = (
                f"POST /openai/v1/other HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {ACME}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n"
            )
            assert (await gateway.ask(head.encode() + b"3\r\nabc\r\n0\r\n\r\n")).status == 200
            assert server.keys == [ONE]
            assert server.requests[0].body == b"abc"

    run(main())


def test_callers_own_keys_pass_beside_a_ring(tmp_path: Path) -> None:
    (tmp_path / "k").write_text(ONE)

    async def main() -> None:
        openai = {"dialect": "openai", "api_key_file": str(tmp_path / "k")}
        server = Judge()
        async with gateway_for({"openai": openai}, server=server) as gateway:
            assert (await gateway.ask(ask("sk-their-own"))).status == 200
            assert server.keys == ["sk-their-own"]
            assert (await gateway.ask(ask(None))).status == 401
            assert len(server.requests) == 1

    run(main())


@pytest.mark.parametrize(
    ("gateway_says", "provider_says", "status"),
    [
        ("forward", None, 200), ("refuse", None, 401), ("forward", "refuse", 401),
        ("refuse", "forward", 200),
    ],
)  # fmt: skip
def test_client_keys_by_provider(gateway_says: str, provider_says: str | None, status: int) -> None:
    async def main() -> None:
        openai = {"dialect": "openai", "api_key_env": "A", "client_keys": provider_says}
        settings = {"gateway": {"client_keys": gateway_says, "shutdown_timeout_s": 1.0}}
        async with gateway_for(
            {"openai": openai}, environ={"A": ONE}, settings=settings
        ) as gateway:
            assert (await gateway.ask(ask("sk-own"))).status == status
            assert len(gateway.provider.requests) == (1 if status == 200 else 0)

    run(main())


HEADERS = {"OpenAI-Organization": "org-ours", "OpenAI-Project": "proj_1", "X-Route": "eu"}
THEIRS = "OpenAI-Organization: org-theirs\r\nX-Route: us\r\nX-Other: o\r\n"


def test_fixed_headers_go_with_the_key_of_the_gateway_only() -> None:
    async def main() -> None:
        openai = {"dialect": "openai", "api_key_env": "A", "headers": HEADERS}
        async with gateway_for({"openai": openai}, environ={"A": ONE}) as gateway:
            await gateway.ask(ask(headers=THEIRS))
            await gateway.ask(ask("sk-own", headers=THEIRS))
            ours, theirs = gateway.provider.requests
            assert ours.header("openai-organization") == "org-ours"
            assert ours.header("openai-project") == "proj_1"
            assert ours.header("x-route") == "eu"
            assert ours.header("x-other") == "o"
            assert theirs.header("openai-organization") == "org-theirs"
            assert theirs.header("openai-project") is None
            assert theirs.header("x-route") == "us"

    run(main())


@pytest.mark.parametrize("is_allowed", [False, True])
def test_callers_choose_an_account_only_where_they_may(is_allowed: bool) -> None:  # noqa: FBT001 -- a parameter
    async def main() -> None:
        openai = {"dialect": "openai", "api_key_env": "A", "client_account_headers": is_allowed}
        async with gateway_for({"openai": openai}, environ={"A": ONE}) as gateway:
            await gateway.ask(ask(headers=THEIRS))
            (seen,) = gateway.provider.requests
            assert seen.header("openai-organization") == ("org-theirs" if is_allowed else None)

    run(main())


def test_fixed_headers_reach_a_server_without_keys() -> None:
    async def main() -> None:
        local = {"dialect": "openai", "headers": {"X-Route": "gpu-2"}}
        async with gateway_for({"local": local}) as gateway:
            assert (await gateway.ask(ask(None, path="/local/v1/models"))).status == 200
            assert gateway.provider.requests[0].header("x-route") == "gpu-2"

    run(main())


@pytest.mark.parametrize("auth", ["entra", "key"])
def test_azure_takes_a_key_or_a_token(tmp_path: Path, auth: str) -> None:
    (tmp_path / "t").write_text('{"accessToken": "entra-token", "expires_on": 4102444800}')

    async def main() -> None:
        azure = {"dialect": "azure", "api_key_file": str(tmp_path / "t"), "auth": auth}
        path = "/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
        async with gateway_for({"azure": azure}) as gateway:
            shown = ask(None, path=path, headers=f"api-key: {ACME}\r\n")
            assert (await gateway.ask(shown)).status == 200
            seen = gateway.provider.requests[0]
            if auth == "entra":
                assert seen.header("authorization") == "Bearer entra-token"
                assert seen.header("api-key") is None
            else:
                assert seen.header("api-key") == "entra-token"
                assert seen.header("authorization") is None

    run(main())


def test_no_key_is_in_logs_metrics_errors_or_reprs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "k").write_text(TWO)
    secrets = (ONE, TWO, "sk-plain-Hh77")

    async def main() -> list[str]:
        providers: dict[str, dict[str, Any]] = {
            "openai": {
                "dialect": "openai",
                "api_keys": [{"env": "A"}, {"file": str(tmp_path / "k")}, {"env": "MISSING"}],
            },
            "plain": {"dialect": "openai", "api_key_env": "P"},
        }
        server = Judge(first="401 Unauthorized", second="429 Too Many Requests")
        environ = {"A": ONE, "P": secrets[2]}
        async with gateway_for(providers, server=server, environ=environ) as gateway:
            bodies = [(await gateway.ask(ask())).body.decode() for _ in range(4)]
            bodies.append((await gateway.ask(ask(path="/plain/v1/chat/completions"))).body.decode())
            service = gateway.service
            states = [
                repr(upstream.signer.states()) for upstream in service.upstreams.values()
                if upstream.signer is not None
            ]  # fmt: skip
            frames = [repr(gateway.sink.on_file), repr(service.config)]
            objects = [repr(upstream) for upstream in service.upstreams.values()]
            return [*bodies, *states, *frames, *objects, await metrics(gateway)]

    with caplog.at_level(logging.DEBUG):
        texts = run(main())
    for secret in secrets:
        assert secret not in caplog.text
        assert all(secret not in text for text in texts)
    assert 'source="env P"' in texts[-1]


# virtual keys, whatever the API


PATHS = {
    "openai": ("/p/v1/chat/completions", '{"model":"MODEL","messages":[]}'),
    "anthropic": ("/p/v1/messages", '{"model":"MODEL","max_tokens":5,"messages":[]}'),
    "azure": ("/p/openai/deployments/MODEL/chat/completions?api-version=1", '{"messages":[]}'),
    "gemini": ("/p/v1beta/models/MODEL:generateContent", '{"contents":[]}'),
    "bedrock": ("/p/model/MODEL/converse", '{"messages":[]}'),
    "cohere": ("/p/v2/chat", '{"model":"MODEL","messages":[]}'),
    "ollama": ("/p/api/chat", '{"model":"MODEL","messages":[]}'),
}


def request(dialect: str, model: str, key: str) -> bytes:
    path, body = PATHS[dialect]
    return post(path.replace("MODEL", model), body.replace("MODEL", model).encode(), key=key)


def _is_401(response: Response) -> bool:
    return response.status == 401


@pytest.mark.parametrize("dialect", sorted(PATHS))
def test_a_virtual_key_is_good_for_its_models_only(dialect: str) -> None:
    bound = FakeKeys(
        tb_small=BOUND.__class__(api_key_id="k", tenant_id="acme", models=("small-*",))
    )

    async def main() -> None:
        providers = {"p": {"dialect": dialect, "api_key_env": "P"}}
        async with gateway_for(providers, keys=bound, environ={"P": ONE}) as gateway:
            assert (await gateway.ask(request(dialect, "small-1", "tb_small"))).status == 200
            seen = gateway.provider.requests[0]
            values = [value for _, value in seen.headers]
            assert any(ONE in value for value in values)
            assert not any("tb_small" in value for value in [*values, seen.line])
            refused = await gateway.ask(request(dialect, "large-1", "tb_small"))
            assert refused.status == 403
            assert b"may not use model 'large-1'" in refused.body.replace(b"\\u0027", b"'")
            assert len(gateway.provider.requests) == 1

    run(main())


@pytest.mark.parametrize("dialect", sorted(PATHS))
def test_expired_and_revoked_keys_are_refused(dialect: str, tmp_path: Path) -> None:
    with contextlib.closing(open_books(tmp_path)) as books:
        _, good = create_key(books, label="good", tenant_id="acme")
        soon_ns = time.time_ns() + 100_000_000
        _, old = create_key(books, label="old", tenant_id="acme", expires_at_ns=soon_ns)
    keys = KeyDirectory(tmp_path)

    async def main() -> None:
        providers = {"p": {"dialect": dialect, "api_key_env": "P"}}
        async with gateway_for(providers, keys=keys, environ={"P": ONE}) as gateway:
            assert (await gateway.ask(request(dialect, "m", good))).status == 200
            assert (
                b"expired" in (await eventually(gateway, request(dialect, "m", old), _is_401)).body
            )
            with contextlib.closing(open_books(tmp_path)) as books:
                revoke_key(books, "good")
            await eventually(gateway, request(dialect, "m", good), _is_401)
            assert not [one for one in gateway.provider.requests if old in str(one)]

    run(main())
    keys.close()
