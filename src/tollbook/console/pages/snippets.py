"""What to paste to send calls through the gateway, for each kind of client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.config import Config

_KEY: Final = "tb_..."
_IDENTITY: Final = "tenant.id=acme,user.id=u-17,feature=support-chat"
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not listened on
_DIALECTS: Final = ("openai", "anthropic")


def gateway_url(config: Config) -> str:
    """Return the gateway's address as a client on the same machine has it."""
    host = config.gateway.host
    return _url("127.0.0.1" if host in _EVERYWHERE else host, config.gateway.port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def snippets(config: Config) -> list[tuple[str, str]]:
    """Return titles and exact text, for the providers of the settings."""
    base = gateway_url(config)
    names = {
        dialect: dialect
        if dialect in config.providers
        else next(
            (name for name, one in sorted(config.providers.items()) if one.dialect == dialect),
            dialect,
        )
        for dialect in _DIALECTS
    }
    openai, anthropic = f"{base}/{names['openai']}/v1", f"{base}/{names['anthropic']}"
    receiver = config.receiver
    host = "127.0.0.1" if receiver.host in _EVERYWHERE else receiver.host
    otlp = _url(host, receiver.http_port)
    return [
        ("A key", "tollbook keys create my-app      # prints a key tb_..., once"),
        ("OpenAI, Python", _filled(_OPENAI, openai)),
        ("Anthropic, Python", _filled(_ANTHROPIC, anthropic)),
        ("LangChain", _filled(_LANGCHAIN, openai)),
        ("Node", _filled(_NODE, openai)),
        ("curl", _filled(_CURL, openai)),
        ("Identity that travels by itself, with the SDK", _filled(_SDK, base)),
        ("OpenTelemetry", _filled(_OTEL, otlp)),
    ]


def _filled(text: str, base_url: str) -> str:
    named = (("BASE_URL", base_url), ("GATEWAY_KEY", _KEY), ("IDENTITY", _IDENTITY))
    for name, value in named:
        text = text.replace(name, value)
    return text


_OPENAI: Final = """from openai import OpenAI

client = OpenAI(base_url="BASE_URL", api_key="GATEWAY_KEY")
client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Hello"}],
    extra_headers={"baggage": "IDENTITY"},
)"""
_ANTHROPIC: Final = """from anthropic import Anthropic

client = Anthropic(base_url="BASE_URL", api_key="GATEWAY_KEY")
client.messages.create(
    model="claude-haiku-4-5",
    max_tokens=256,
    messages=[{"role": "user", "content": "Hello"}],
    extra_headers={"baggage": "IDENTITY"},
)"""
_LANGCHAIN: Final = """from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="gpt-4o-mini", base_url="BASE_URL", api_key="GATEWAY_KEY",
    default_headers={"baggage": "IDENTITY"},
)"""
_NODE: Final = """import OpenAI from "openai";

const client = new OpenAI({ baseURL: "BASE_URL", apiKey: "GATEWAY_KEY" });
await client.chat.completions.create(
  { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] },
  { headers: { baggage: "IDENTITY" } },
);"""
_CURL: Final = """curl BASE_URL/chat/completions \\
  -H "Authorization: Bearer GATEWAY_KEY" -H "Content-Type: application/json" \\
  -H "baggage: IDENTITY" \\
  -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'"""
_SDK: Final = """import openai
import tollbook
from fastapi import FastAPI
from tollbook.sdk.middleware.asgi import TollbookMiddleware

tollbook.configure(gateway="BASE_URL", gateway_key="GATEWAY_KEY")
client = tollbook.wrap(openai.AsyncOpenAI(api_key="not needed: the gateway has it"))

app = FastAPI()
app.add_middleware(
    TollbookMiddleware, tenant_of=lambda request: request.headers.get("x-customer")
)"""
_OTEL: Final = """export OTEL_EXPORTER_OTLP_ENDPOINT=BASE_URL
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"""
