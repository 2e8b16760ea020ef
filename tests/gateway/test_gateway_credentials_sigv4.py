"""AWS Signature Version 4: the published examples, and botocore as the second opinion."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore import auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from tollbook.capture.gateway.credentials.base import Unsigned
from tollbook.capture.gateway.credentials.sigv4 import AwsKey, Scope, authorization, sigv4_lines
from tollbook.dialects.sigv4_credential import is_sigv4_header, sigv4_access_key

KEY = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = "20150830T123600Z"
EMPTY = hashlib.sha256(b"").hexdigest()


def signature(method: str, target: str, lines: str = "") -> str:
    request = Unsigned(method, target.encode(), b"example.amazonaws.com", lines.encode(), b"")
    scope = Scope("us-east-1", "service")
    return authorization(request, {"x-amz-date": AT}, EMPTY, KEY, scope)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
    ids=["get-vanilla", "post-vanilla", "get-vanilla-query-order-key-case"],
)
def test_the_signature_version_4_test_suite(method: str, target: str, expected: str) -> None:
    value = signature(method, target)
    assert value == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        f" SignedHeaders=host;x-amz-date, Signature={expected}"
    )


def of_botocore(
    method: str, target: str, headers: dict[str, str], body: bytes, token: str | None
) -> str:
    request = AWSRequest(
        method,
        "https://bedrock-runtime.eu-west-1.amazonaws.com" + target,
        headers={**headers, "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()},
        data=body,
    )
    moment = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
    with mock.patch.object(auth, "get_current_datetime", return_value=moment):
        credentials = Credentials(KEY.access_key_id, KEY.secret, token)
        auth.SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


def of_ours(
    method: str, target: str, headers: dict[str, str], body: bytes, token: str | None
) -> str:
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    signed = sigv4_lines(
        Unsigned(
            method, target.encode(), b"bedrock-runtime.eu-west-1.amazonaws.com",
            lines.encode(), body,
        ),
        KEY._replace(session_token=token),
        Scope("eu-west-1", "bedrock"),
        "20261121T110000Z",
    )  # fmt: skip
    table = dict(line.split(": ", 1) for line in signed.decode().split("\r\n")[:-1])
    assert set(table) == {"authorization", "x-amz-date", "x-amz-content-sha256"} | (
        {"x-amz-security-token"} if token else set()
    )
    return table["authorization"]


segments = st.text(st.sampled_from("abzAZ09-._~!*'()%:@$&+,;="), max_size=12)
paths = st.lists(segments, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
query = st.lists(
    st.tuples(
        st.text(st.sampled_from("abXY12-_.~"), min_size=1, max_size=5),
        st.text(st.sampled_from("abXY12-_.~"), max_size=5),
    ),
    max_size=4,
).map(lambda pairs: ("?" if pairs else "") + "&".join(f"{name}={value}" for name, value in pairs))


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=paths,
    query=query,
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "X-Amz-Target", "X-Amzn-Bedrock-Trace"]),
        st.text(st.sampled_from("ab c/=-;"), min_size=1, max_size=20).map(str.strip),
    ),
    body=st.binary(max_size=200),
    token=st.none() | st.just("session/token+=="),
)
def test_signs_as_botocore_does(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, token: str | None
) -> None:
    asked = (method, path + query, headers, body, token)
    assert of_ours(*asked) == of_botocore(*asked)


@pytest.mark.parametrize(
    "path",
    [
        "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1234%3Aapplication-inference-profile%2Fabc/invoke",
        "/model/us.amazon.nova-lite-v1:0/converse-stream",
    ],
)
def test_model_ids_are_encoded_twice_as_botocore_does(path: str) -> None:
    asked = ("POST", path, {"Content-Type": "application/json"}, b"{}", None)
    assert of_ours(*asked) == of_botocore(*asked)


def test_no_secret_is_in_a_repr() -> None:
    key = AwsKey("AKIA1234567890", "very-secret", "token-secret")
    assert "secret" not in repr(key)


def test_who_signed_is_read_and_nothing_else() -> None:
    value = b"AWS4-HMAC-SHA256 Credential=tb_abc/20261121/us-east-1/bedrock/aws4_request, S=0"
    assert sigv4_access_key([(b"authorization", value)]) == "tb_abc"
    for other in (b"Bearer tb_abc", b"AWS4-HMAC-SHA256 Signature=00", b"AWS4-HMAC-SHA256", b""):
        assert sigv4_access_key([(b"authorization", other)]) is None
    assert sigv4_access_key([]) is None


@given(st.binary(max_size=300))
def test_reading_who_signed_never_fails(value: bytes) -> None:
    found = sigv4_access_key([(b"authorization", b"AWS4-HMAC-SHA256 " + value)])
    assert found is None or "/" not in found


def test_headers_of_a_signature_go_with_it() -> None:
    assert all(
        is_sigv4_header(name)
        for name in (b"authorization", b"x-amz-date", b"x-amz-security-token",
                     b"x-amz-content-sha256")
    )  # fmt: skip
    assert not is_sigv4_header(b"x-amzn-bedrock-trace")
