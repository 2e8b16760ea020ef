"""Calls to AWS and Google: signed or with a token, by credentials that their own libraries find."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3  # type: ignore[import-untyped]
import pytest
from botocore import auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.config import Config as BotoConfig  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.gateway.kit import Provider, answer, run
from tests.gateway.provider_kit import ACME, gateway_for, post

from tollbook.capture.gateway.credentials.aws import AwsReader, region_of_host
from tollbook.capture.gateway.credentials.google import GoogleReader
from tollbook.capture.gateway.credentials.readers import Found, Missing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.kit import Gateway, Received

ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY", "token+/=="
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CONVERSE = b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}'
ANSWER = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
        "metrics": {"latencyMs": 5},
    }
).encode()
BEDROCK: dict[str, dict[str, Any]] = {"bedrock": {"dialect": "bedrock", "aws_region": "eu-west-1"}}


@pytest.fixture(autouse=True)
def aws_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing of this machine's own AWS set-up is used, and no metadata server asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
                 "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    return tmp_path


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def bedrock_server() -> Provider:
    async def reply(_: Provider, __: Received, ___: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(ANSWER))

    return Provider(reply)


def verify(received: Received, port: int, *, region: str, token: str | None) -> None:
    """Check a signature as AWS does: by making it again, with botocore."""
    method, target, _ = received.line.split(" ")
    table = dict(received.headers)
    parts = dict(
        part.strip().split("=", 1)
        for part in table["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    )
    signed = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
    assert table["host"] == f"localhost:{port}"
    assert table["x-amz-content-sha256"] == hashlib.sha256(received.body).hexdigest()
    assert table.get("x-amz-security-token") == token
    keep = {
        name: table[name] for name in signed if name not in {"x-amz-date", "x-amz-security-token"}
    }
    request = AWSRequest(
        method, f"http://localhost:{port}{target}", headers=keep, data=received.body
    )
    moment = datetime.strptime(table["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 300
    with mock.patch.object(auth, "get_current_datetime", return_value=moment):
        signer = auth.SigV4Auth(Credentials(ID, SECRET, token), "bedrock", region)
        signer.add_auth(request)
    assert table["authorization"].replace(" ", "") == (
        str(request.headers["Authorization"]).replace(" ", "")
    )


def client_of(gateway: Gateway, **more: Any) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=f"http://127.0.0.1:{gateway.port}/bedrock",
        region_name="us-east-1",
        config=BotoConfig(retries={"max_attempts": 0}),
        **more,
    )


async def converse(client: Any, model: str = MODEL) -> Any:
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    return await asyncio.to_thread(client.converse, modelId=model, messages=messages)


@pytest.mark.usefixtures("in_environment")
@pytest.mark.parametrize(
    "model",
    [MODEL, "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc-1"],
)
def test_boto3_signs_with_a_virtual_key_and_the_gateway_with_its_own(model: str) -> None:
    async def main() -> None:
        async with gateway_for(BEDROCK, server=bedrock_server()) as gateway:
            client = client_of(gateway, aws_access_key_id=ACME, aws_secret_access_key="any")
            response = await converse(client, model)
            assert response["output"]["message"]["content"] == [{"text": "hello"}]
            (seen,) = gateway.provider.requests
            verify(seen, gateway.provider.port, region="eu-west-1", token=TOKEN)
            assert ACME not in str(seen)
            opened = gateway.sink.opened[0]
            assert opened.identity.tenant_id == "acme"
            assert opened.model_requested == model

    run(main())


@pytest.mark.usefixtures("in_environment")
def test_a_bearer_token_as_boto3_sends_it_over_tls() -> None:
    async def main() -> None:
        async with gateway_for(BEDROCK, server=bedrock_server()) as gateway:
            response = await gateway.ask(post(f"/bedrock/model/{MODEL}/converse", CONVERSE))
            assert response.status == 200
            (seen,) = gateway.provider.requests
            verify(seen, gateway.provider.port, region="eu-west-1", token=TOKEN)

    run(main())


@pytest.mark.usefixtures("in_environment")
def test_what_is_not_metered_is_signed_with_its_body() -> None:
    async def main() -> None:
        async with gateway_for(BEDROCK, server=bedrock_server()) as gateway:
            path = "/bedrock/guardrail/abc/version/1/apply"
            assert (await gateway.ask(post(path, b'{"source":"INPUT"}'))).status == 200
            head = "GET /bedrock/async-invoke?maxResults=5&b=%20x HTTP/1.1\r\nHost: gw\r\n"
            head += f"Authorization: Bearer {ACME}\r\n\r\n"
            assert (await gateway.ask(head.encode())).status == 200
            for seen in gateway.provider.requests:
                verify(seen, gateway.provider.port, region="eu-west-1", token=TOKEN)

    run(main())


@pytest.mark.usefixtures("in_environment")
def test_tags_are_under_the_signature() -> None:
    async def main() -> None:
        arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/acme"
        tags = {"tenant": "plain", "profiles": {"acme": {MODEL: arn}}}
        providers = {"bedrock": {**BEDROCK["bedrock"], "tags": tags}}
        async with gateway_for(providers, server=bedrock_server()) as gateway:
            client = client_of(gateway, aws_access_key_id=ACME, aws_secret_access_key="any")
            await converse(client)
            await asyncio.to_thread(client.invoke_model, modelId=MODEL, body=CONVERSE)
            in_body, in_header = gateway.provider.requests
            for seen in (in_body, in_header):
                verify(seen, gateway.provider.port, region="eu-west-1", token=TOKEN)
                assert "application-inference-profile%2Facme/" in seen.line
            assert json.loads(in_body.body)["requestMetadata"] == {"tollbook_tenant": "acme"}
            told = in_header.header("x-amzn-bedrock-request-metadata")
            assert told == '{"tollbook_tenant":"acme"}'
            signed = in_header.header("authorization") or ""
            assert "x-amzn-bedrock-request-metadata" in signed

    run(main())


@pytest.mark.usefixtures("in_environment")
def test_a_callers_own_signature_is_refused_in_awss_shape() -> None:
    async def main() -> None:
        async with gateway_for(BEDROCK, server=bedrock_server()) as gateway:
            client = client_of(gateway, aws_access_key_id=ID, aws_secret_access_key=SECRET)
            with pytest.raises(client.exceptions.AccessDeniedException) as caught:
                await converse(client)
            assert "signed with AWS credentials for this gateway" in str(caught.value)
            assert gateway.provider.requests == []

    run(main())


def test_a_signature_that_covers_the_providers_own_address_passes() -> None:
    signed = (
        f"AWS4-HMAC-SHA256 Credential={ID}/20261121/us-east-1/bedrock/aws4_request, Signature=0"
    )

    async def main() -> None:
        server = bedrock_server()
        async with server.serving() as outer:
            url = f"http://localhost:{outer.port}/bedrock"
            bedrock = {"bedrock": {"dialect": "bedrock", "base_url": url}}
            async with gateway_for(bedrock) as gateway:
                request = post(f"/bedrock/model/{MODEL}/converse", CONVERSE, key=None, headers=(
                    f"Authorization: {signed}\r\nX-Amz-Date: 20261121T110000Z\r\n"
                )).replace(b"Host: gw", f"Host: localhost:{outer.port}".encode())  # fmt: skip
                assert (await gateway.ask(request)).status == 200
                seen = outer.requests[0]
                assert seen.header("authorization") == signed
                assert seen.header("x-amz-date") == "20261121T110000Z"
                assert seen.line.startswith("POST /bedrock/model/")

    run(main())


def test_without_credentials_a_call_says_so() -> None:
    async def main() -> None:
        async with gateway_for(BEDROCK, server=bedrock_server()) as gateway:
            response = await gateway.ask(post(f"/bedrock/model/{MODEL}/converse", CONVERSE))
            assert response.status == 500
            assert b"no AWS credentials were found" in response.body
            assert gateway.provider.requests == []

    run(main())


def test_a_profile_and_its_newer_key(aws_home: Path) -> None:
    file = aws_home / "aws-credentials"
    text = "[bill]\naws_access_key_id = {}\naws_secret_access_key = s\n"
    file.write_text(text.format("AKIAOLD"))
    reader = AwsReader("bill", "eu-central-1")
    found = reader.read(is_refused=False)
    assert isinstance(found, Found)
    assert (found.value.key.access_key_id, found.value.scope.region) == ("AKIAOLD", "eu-central-1")
    file.write_text(text.format("AKIANEW"))
    found = reader.read(is_refused=True)
    assert isinstance(found, Found)
    assert found.value.key.access_key_id == "AKIANEW"
    assert reader.description == "aws shared-credentials-file (profile bill)"
    missing = AwsReader("nobody", "eu-central-1").read(is_refused=False)
    assert isinstance(missing, Missing)
    assert "ProfileNotFound" in missing.problem


@pytest.mark.usefixtures("in_environment")
def test_no_region_is_said() -> None:
    found = AwsReader(None, None).read(is_refused=False)
    assert found == Missing("no AWS region is known; set aws_region")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-0a-1b.bedrock-runtime.ap-northeast-2.vpce.amazonaws.com", "ap-northeast-2"),
        ("bedrock-runtime.example.com", None),
        ("localhost", None),
    ],
)
def test_the_region_of_a_host(host: str, region: str | None) -> None:
    assert region_of_host(host) == region


# Google


def service_account(directory: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = directory / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account", "project_id": "p", "private_key_id": "1",
                "private_key": key.decode(), "client_email": "meter@p.iam.gserviceaccount.com",
                "token_uri": token_uri,
            }
        )
    )  # fmt: skip
    return path


class Google(Provider):
    """A token server and Vertex AI in one."""

    def __init__(self) -> None:
        super().__init__(self._serve_google)
        self.tokens = 0

    async def _serve_google(
        self, _: Provider, received: Received, __: object, writer: asyncio.StreamWriter
    ) -> None:
        if received.line.startswith("POST /token"):
            self.tokens += 1
            claims = received.body.decode().split("assertion=")[1].split(".")[1]
            assert b"cloud-platform" in base64.urlsafe_b64decode(claims + "==")
            token = {"access_token": f"ya29.{self.tokens}", "expires_in": 3600}
            writer.write(answer(json.dumps(token).encode()))
        elif received.header("authorization") == "Bearer ya29.1":
            error = {"error": {"code": 401, "message": "expired", "status": "UNAUTHENTICATED"}}
            writer.write(answer(json.dumps(error).encode(), "401 Unauthorized"))
        else:
            writer.write(answer(b'{"candidates":[],"usageMetadata":{"promptTokenCount":1}}'))


def test_vertex_gets_a_token_of_the_service_account(tmp_path: Path) -> None:
    async def main() -> None:
        google = Google()
        async with google.serving():
            outer = google
            url = f"http://127.0.0.1:{outer.port}"
            file = service_account(tmp_path, f"{url}/token")
            vertex = {"dialect": "gemini", "auth": "google", "base_url": url,
                      "google_credentials_file": str(file)}  # fmt: skip
            async with gateway_for({"vertex": vertex}) as gateway:
                path = (
                    "/vertex/v1/projects/p/locations/europe-west1/publishers/google/models/"
                    "gemini-2.5-flash:generateContent"
                )
                response = await gateway.ask(post(path, b'{"contents":[]}'))
                assert response.status == 401
                seen = outer.requests[-1]
                assert seen.header("authorization") == "Bearer ya29.1"
                assert seen.header("x-goog-api-key") is None
                assert outer.tokens == 1

    run(main())


def test_a_token_that_is_refused_is_made_again(tmp_path: Path) -> None:
    async def main() -> None:
        google = Google()
        async with google.serving():
            outer = google
            file = service_account(tmp_path, f"http://127.0.0.1:{outer.port}/token")
            reader = GoogleReader(file)
            first = await asyncio.to_thread(reader.read, is_refused=False)
            second = await asyncio.to_thread(reader.read, is_refused=True)
            assert isinstance(first, Found)
            assert isinstance(second, Found)
            assert (first.value, second.value) == ("ya29.1", "ya29.2")
            assert first.expires_at_s is not None
            left_s = first.expires_at_s - datetime.now(UTC).timestamp()
            assert 3000 < left_s < 3700

    run(main())


def test_no_token_is_a_problem_without_what_was_answered(tmp_path: Path) -> None:
    reader = GoogleReader(service_account(tmp_path, "http://127.0.0.1:1/token"))
    found = reader.read(is_refused=False)
    assert isinstance(found, Missing)
    assert "gave no token (TransportError)" in found.problem
    absent = GoogleReader(tmp_path / "none.json").read(is_refused=False)
    assert isinstance(absent, Missing)
