"""The harness: official clients instrumented, so that each request they send is a Call.

Importing it imports no provider's package; what a client is made of is imported when one is
wrapped. A client is metered where its requests leave, at the HTTP transport: streams, raw
responses, tool runners and retries all pass there, and none of the client's own methods changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tollbook.sdk.sink import Sink

Client = TypeVar("Client")


def wrap(
    client: Client, *, provider: str | None = None, dialect: str | None = None,
    gateway: str | None = None, gateway_key: str | None = None, sink: Sink | None = None,
    inject_stream_usage: bool = True, tags: bool = False,
) -> Client:  # fmt: skip
    """Instrument a client in place and return it; wrapping it again changes its options.

    Args:
        client: of openai, anthropic, google-genai, cohere, mistralai or groq, sync or async; a
            boto3 ``bedrock-runtime`` client; or a plain client of httpx or httpx2, whose requests
            to known providers are metered. Copies made with ``with_options`` are instrumented too.
        provider: the name it is booked under, and the gateway's prefix; by default that of the
            host which a request goes to, else that of the client's maker.
        dialect: which API the server speaks, where its name does not tell.
        gateway: base address of a Tollbook gateway (``http://127.0.0.1:8080``); by default that
            of :func:`tollbook.sdk.configure`. Requests go through it, and it meters them.
        gateway_key: virtual key that replaces the provider's own.
        sink: where calls are told of instead of the configured sink.
        inject_stream_usage: ask OpenAI-like servers for usage in streams, and keep the extra chunk
            from the caller.
        tags: write tenant, user, feature, workflow and run into the provider's own fields, where
            its API has them. Not through a gateway, which has a policy of its own.

    Raises:
        UnknownClientError: a client that is none of these.
        UnknownDialectError: a dialect that there is not.
    """
    from tollbook.sdk.harness.clients import instrument  # noqa: PLC0415 -- imports all dialects
    from tollbook.sdk.harness.options import Options  # noqa: PLC0415

    options = Options(
        provider=provider,
        dialect=dialect,
        gateway=gateway,
        gateway_key=gateway_key,
        sink=sink,
        inject_stream_usage=inject_stream_usage,
        tags=tags,
    )
    instrument(client, options)
    return client


def wrap_litellm(**options: Any) -> None:
    """Instrument LiteLLM used as a library, in this process; options are those of :func:`wrap`.

    Functions that were imported from it by name before are not seen: call this first.

    Raises:
        ImportError: LiteLLM is not installed.
    """
    from tollbook.sdk.harness.litellm import instrument_litellm  # noqa: PLC0415 -- as above
    from tollbook.sdk.harness.options import Options  # noqa: PLC0415

    instrument_litellm(Options(**options))


def unwrap_litellm() -> None:
    """Take back :func:`wrap_litellm`."""
    from tollbook.sdk.harness.litellm import uninstrument_litellm  # noqa: PLC0415 -- as above

    uninstrument_litellm()
