"""Official clients of providers that speak like OpenAI, through the gateway, against their shapes.

One house: OpenAI's media endpoints, Azure, Mistral, Groq, DeepSeek, xAI, OpenRouter, Perplexity and
Voyage, each at its simulator, with what only that provider has.
"""

from __future__ import annotations

import io
import struct
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import groq
import mistralai.client
import openai
import pytest
from mistralai.client.errors import SDKError

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("mistral", "groq", "deepseek", "xai", "openrouter", "perplexity", "voyage")
SETTINGS = """
[providers.azure]
dialect = "azure"
base_url = "SIM/azure"
api_key_env = "SIM_KEY"
[[prices]]
provider = "openai"
model = "dall-e-3"
effective_from = "2026-01-01"
images = 0.04
[[prices]]
provider = "voyage"
model = "rerank-2.5"
effective_from = "2026-01-01"
input = 0.05
""" + "".join(
    f'[providers.{name}]\nbase_url = "SIM/{name}{path}"\napi_key_env = "SIM_KEY"\n'
    for name in NAMES
    for path in ["/api" if name == "openrouter" else ""]
)
MESSAGES: list[Any] = [{"role": "user", "content": "Say something short."}]
Row = dict[str, Any]


class Family:
    """The house, a key, and the rows once all is over."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.key = house.key("app", tenant_id="acme")

    def openai(self, path: str) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.house.url}/{path}", api_key=self.key, max_retries=0, timeout=30
        )

    def rows(self) -> list[Row]:
        self.house.stop()
        rows: list[Row] = self.house.records("SELECT * FROM entries ORDER BY called_at")
        assert {row["tenant_id"] for row in rows} == {"acme"}
        assert {row["kind"] for row in rows} == {"charge"}
        return rows


@pytest.fixture
def family(make_house: Callable[..., Any]) -> Family:
    return Family(make_house(settings=SETTINGS))


def wave(seconds: float) -> io.BytesIO:
    data = bytes(int(seconds * 32_000))
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       16_000, 32_000, 2, 16)  # fmt: skip
    sound = io.BytesIO(head + b"data" + struct.pack("<I", len(data)) + data)
    sound.name = "a.wav"
    return sound


def picture() -> io.BytesIO:
    image = io.BytesIO(b"\x89PNG simulated")
    image.name = "a.png"
    return image


def test_images_speech_and_transcripts_of_openai(family: Family) -> None:
    client = family.openai("openai/v1")
    client.images.generate(model="gpt-image-1", prompt="A cat.", n=2, quality="low")
    client.images.edit(model="gpt-image-1", image=picture(), prompt="A hat.", quality="low")
    events = list(client.images.generate(model="gpt-image-1", prompt="A cat.", stream=True))
    client.images.generate(model="dall-e-3", prompt="A cat.", size="1024x1024")
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Twenty characters ..")
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Hello there.", stream_format="sse"
    ) as stream:
        sse = b"".join(stream.iter_bytes())
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=wave(2))
    deltas = list(
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=wave(2), stream=True)
    )
    timed = client.audio.transcriptions.create(
        model="whisper-1", file=wave(90), response_format="verbose_json"
    )
    text = client.audio.transcriptions.create(
        model="whisper-1", file=wave(30), response_format="text"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # by the client; the API lives
        client.audio.translations.create(model="whisper-1", file=wave(60))
    client.moderations.create(input="a text")
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="no-such-model", prompt="A cat.")

    assert events[-1].type == "image_generation.completed"
    assert spoken.content.startswith(b"\xff\xfb")
    assert b"speech.audio.done" in sse
    assert heard.usage is not None
    assert deltas[-1].type == "transcript.text.done"
    assert timed.duration == 90
    assert "sentence" in str(text)
    rows = family.rows()
    assert [(row["operation"], row["price_state"], row["usage_source"]) for row in rows] == [
        ("image", "priced", "reported"),
        ("image", "priced", "reported"),
        ("image", "priced", "reported"),
        ("image", "priced", "reported"),
        ("speech", "priced", "reported"),
        ("speech", "priced", "reported"),
        ("transcription", "priced", "reported"),
        ("transcription", "priced", "reported"),
        ("transcription", "priced", "reported"),
        ("transcription", "priced", "estimated"),
        ("translation", "priced", "reported"),
        ("moderation", "free", "none"),
        ("image", "not_billed", "none"),
    ]
    plain, edit, streamed, dalle, tts, mini, *_ = rows
    assert plain["output_image_tokens"] == 544
    assert (edit["input_image_tokens"], edit["output_image_tokens"]) == (194, 272)
    assert streamed["output_image_tokens"] == 4160
    assert (dalle["images"], dalle["cost_usd"]) == (1, Decimal("0.04"))
    assert (tts["characters"], tts["cost_usd"]) == (20, Decimal("0.0003"))
    assert mini["output_audio_tokens"] > 0
    assert (rows[8]["audio_ms"], rows[8]["cost_usd"]) == (90_000, Decimal("0.009"))
    assert (rows[9]["audio_ms"], rows[9]["cost_usd"]) == (30_000, Decimal("0.003"))
    assert rows[12]["http_status"] == 404


def test_azure_deployments_with_its_official_client(family: Family) -> None:
    def azure(version: str) -> openai.AzureOpenAI:
        return openai.AzureOpenAI(
            azure_endpoint=f"{family.house.url}/azure",
            api_key=family.key,
            api_version=version,
            max_retries=0,
        )

    new, old = azure("2024-10-21"), azure("2024-06-01")
    chat = new.chat.completions.create(model="prod-4o-mini", messages=MESSAGES)
    chunks = list(new.chat.completions.create(model="prod-4o-mini", messages=MESSAGES, stream=True))
    before = list(old.chat.completions.create(model="prod-4o-mini", messages=MESSAGES, stream=True))
    new.embeddings.create(model="prod-embed", input="a text")
    v1 = family.openai("azure/openai/v1").chat.completions.create(
        model="prod-4o-mini", messages=MESSAGES
    )
    with pytest.raises(openai.NotFoundError) as missing:
        new.chat.completions.create(model="none-such", messages=MESSAGES)
    stranger = new.with_options(api_key="tb_not-a-key-of-ours")
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model="prod-4o-mini", messages=MESSAGES)

    assert chat.model == v1.model == "gpt-4o-mini-2024-07-18"
    assert chunks[0].model == "", "the results of the filter come first"
    assert all(chunk.usage is None for chunk in chunks), "asked for on our own behalf: hidden"
    assert before[-1].choices[0].finish_reason == "stop"
    assert missing.value.code == "model_not_found"
    assert refused.value.status_code == 401
    family.house.stop()
    rows = family.house.records("SELECT * FROM entries ORDER BY called_at")
    assert [(row["model_requested"], row["usage_source"]) for row in rows] == [
        ("prod-4o-mini", "reported"),
        ("prod-4o-mini", "reported"),
        ("prod-4o-mini", "estimated"),
        ("prod-embed", "reported"),
        ("prod-4o-mini", "reported"),
        ("none-such", "none"),
        ("prod-4o-mini", "none"),
    ]
    assert {row["model_actual"] for row in rows[:3]} == {"gpt-4o-mini-2024-07-18"}
    assert [row["status"] for row in rows[5:]] == ["error", "rejected"]
    assert all(row["cost_usd"] > 0 for row in rows[:5])


def test_mistral_and_groq_with_their_official_clients(family: Family) -> None:
    url = family.house.url
    with mistralai.client.Mistral(api_key=family.key, server_url=f"{url}/mistral") as mistral:
        plain = mistral.chat.complete(model="mistral-small-latest", messages=MESSAGES)
        with mistral.chat.stream(model="mistral-small-latest", messages=MESSAGES) as stream:
            events = [event.data for event in stream]
        vector = mistral.embeddings.create(model="mistral-embed", inputs=["a text"])
        with pytest.raises(SDKError) as missing:
            mistral.chat.complete(model="no-such-model", messages=MESSAGES)
    client = groq.Groq(api_key=family.key, base_url=f"{url}/groq", max_retries=0)
    model = "llama-3.3-70b-versatile"
    fast = client.chat.completions.create(model=model, messages=MESSAGES)
    chunks = list(client.chat.completions.create(model=model, messages=MESSAGES, stream=True))
    with pytest.raises(groq.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    with pytest.raises(groq.RateLimitError):
        client.chat.completions.create(
            model=model, messages=MESSAGES, extra_headers={"x-sim-fault": "rate_limit"}
        )

    assert events[-1].usage is not None
    assert vector.data[0].embedding
    assert missing.value.status_code == 404
    assert chunks[-1].x_groq is not None
    assert chunks[-1].x_groq.usage is not None
    assert fast.usage is not None
    rows = family.rows()
    expected = [
        ("mistral", plain.usage.prompt_tokens, plain.usage.completion_tokens),
        ("mistral", events[-1].usage.prompt_tokens, events[-1].usage.completion_tokens),
        ("mistral", vector.usage.prompt_tokens, 0),
        ("groq", fast.usage.prompt_tokens, fast.usage.completion_tokens),
        ("groq", chunks[-1].x_groq.usage.prompt_tokens, chunks[-1].x_groq.usage.completion_tokens),
    ]
    billed = [row for row in rows if row["price_state"] == "priced"]
    assert [
        (
            row["provider"],
            row["uncached_input_tokens"] + row["cache_read_tokens"],
            row["visible_output_tokens"] + row["reasoning_tokens"],
        )
        for row in billed
    ] == expected
    assert {row["usage_source"] for row in billed} == {"reported"}
    assert sorted(row["http_status"] for row in rows if row not in billed) == [404, 404, 429]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("deepseek", "deepseek-chat"),
        ("xai", "grok-4.3"),
        ("openrouter", "openai/gpt-4o-mini"),
        ("perplexity", "sonar"),
    ],
)
def test_compatible_providers_with_the_openai_client(
    family: Family, provider: str, model: str
) -> None:
    client = family.openai(f"{provider}/v1")
    size = {"x-sim-size": "input=2000;cache_read=1024;output=50"}
    client.chat.completions.create(model=model, messages=MESSAGES, extra_headers=size)
    chunks = list(
        client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, extra_headers=size
        )
    )
    byok = provider == "openrouter"
    if byok:
        client.chat.completions.create(
            model=model, messages=MESSAGES, extra_headers=size | {"x-sim-byok": "1"}
        )

    assert chunks[-1].usage is not None or provider == "deepseek"
    rows = family.rows()
    assert len(rows) == 2 + byok
    for row in rows:
        assert row["usage_source"] == "reported"
        assert (row["uncached_input_tokens"], row["cache_read_tokens"]) == (976, 1024)
        assert row["visible_output_tokens"] + row["reasoning_tokens"] == 50
    if provider == "deepseek":
        assert {row["reported_cost_usd"] for row in rows} == {None}
        return
    reported = [row["reported_cost_usd"] for row in rows]
    own = {
        "xai": Decimal("0.0015498"),
        "openrouter": Decimal("0.0002532"),
        "perplexity": Decimal("0.00705"),
    }[provider]
    assert reported[:2] == [own, own]
    if byok:
        assert reported[2] == own * Decimal("1.05"), "the fee, and what the key's owner pays"
    if provider == "xai":
        assert {row["cost_usd"] for row in rows} == {own}
    if provider == "perplexity":
        assert {row["price_tier"] for row in rows} == {"search-low"}


def test_embeddings_and_reranking_told_as_a_total(family: Family) -> None:
    client = family.openai("voyage/v1")
    client.embeddings.create(model="voyage-3.5", input=["a text", "another"])
    ranked: Any = client.post(
        "/rerank",
        cast_to=object,
        body={"model": "rerank-2.5", "query": "who?", "documents": ["a text", "another"]},
    )

    assert ranked["data"][0]["index"] == 0
    embedded, reranked = family.rows()
    assert (embedded["operation"], reranked["operation"]) == ("embeddings", "rerank")
    for row in (embedded, reranked):
        assert row["usage_source"] == "reported"
        assert row["uncached_input_tokens"] > 0
        assert row["visible_output_tokens"] == 0
        assert row["cost_usd"] > 0
