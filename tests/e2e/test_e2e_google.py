"""Google's official client through the gateway: Gemini API and Vertex AI, against the true bill."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from tollbook.simulator.bill import leaks
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = """
[providers.gemini]
dialect = "gemini"
base_url = "SIM/gemini"
api_key_env = "SIM_KEY"
list_prices = "google"
[providers.vertex]
dialect = "gemini"
base_url = "SIM/vertex"
api_key_env = "SIM_KEY"
list_prices = "google"
"""
FLASH = "gemini-2.5-flash"
TEXT = "Say something short."
LOOK_UP = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="look_up",
            description="Look something up.",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"query": types.Schema(type=types.Type.STRING)}
            ),
        )
    ]
)
SEARCH = types.Tool(google_search=types.GoogleSearch())
KINDS = {
    "uncached_input": "uncached_input_tokens",
    "cache_read": "cache_read_tokens",
    "visible_output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
    "input_image": "input_image_tokens",
    "cache_read_image": "cache_read_image_tokens",
    "input_video": "input_video_tokens",
    "web_search": "web_search_requests",
}


class Google:
    """One house, and the official client in both of its modes."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.key = house.key("app", tenant_id="acme", feature="support")
        self.gemini = genai.Client(
            api_key=self.key,
            http_options=types.HttpOptions(base_url=f"{house.url}/gemini"),
        )
        self.vertex = genai.Client(
            vertexai=True,
            project="proj",
            location="europe-west4",
            credentials=Credentials(token=self.key),  # type: ignore[no-untyped-call]  # google-auth has no types
            http_options=types.HttpOptions(base_url=f"{house.url}/vertex"),
        )

    def close(self) -> None:
        self.gemini.close()
        self.vertex.close()

    def rows(self) -> list[dict[str, Any]]:
        """Stop everything and return the ledger's entries in order."""
        self.house.stop()
        return list(self.house.records("SELECT * FROM entries ORDER BY called_at"))

    def assert_tied_out(self, rows: list[dict[str, Any]]) -> None:
        """Every answered call is one entry with the tokens and dollars of the true bill."""
        truth = read_truth(self.house.simulator.log_dir)
        assert leaks(truth) == {}
        ours = {row["provider_request_id"]: row for row in rows if row["provider_request_id"]}
        billed = [call for call in truth if call.is_billed]
        assert billed
        for call in billed:
            assert call.ended is not None
            row = ours[call.ended.provider_request_id]
            if call.usage_delivered:
                assert row["usage_source"] == "reported", row
                quantities = call.quantities._asdict()
                theirs = {kind: n for kind, n in quantities.items() if n}
                mine = {kind: row[column] for kind, column in KINDS.items() if row[column]}
                assert mine == theirs
                assert row["cost_usd"] == Decimal(call.ended.cost_usd), row
            else:
                assert row["usage_source"] == "estimated", row


@pytest.fixture
def google(make_house: Callable[..., Any]) -> Iterator[Google]:
    with contextlib.closing(Google(make_house(settings=SETTINGS))) as made:
        yield made


def sized(size: str, **config: Any) -> types.GenerateContentConfig:
    """Return a config that makes the simulator answer with these sizes."""
    options = types.HttpOptions(headers={"x-sim-size": size})
    return types.GenerateContentConfig(http_options=options, **config)


def test_generate_plain_streamed_tools_thinking_files_and_cache(google: Google) -> None:
    client = google.gemini
    plain = client.models.generate_content(model=FLASH, contents=TEXT)
    streamed = list(client.models.generate_content_stream(model=FLASH, contents=TEXT))
    tool = client.models.generate_content(
        model=FLASH, contents=TEXT, config=types.GenerateContentConfig(tools=[LOOK_UP])
    )
    thought = list(
        client.models.generate_content_stream(
            model="gemini-2.5-pro",
            contents=TEXT,
            config=sized("input=5000;cache_read=3000;output=900;reasoning=700"),
        )
    )
    long = client.models.generate_content(
        model="gemini-2.5-pro", contents=TEXT, config=sized("input=150000;output=20")
    )
    sound = types.Part.from_bytes(data=b"RIFF....", mime_type="audio/wav")
    image = types.Part.from_bytes(data=b"PNG....", mime_type="image/png")
    parts: list[Any] = [TEXT, sound, image]  # of which its types know too many unions
    mixed = client.models.generate_content(model=FLASH, contents=parts)
    cache = client.caches.create(
        model=FLASH, config=types.CreateCachedContentConfig(contents=[*parts[1:], TEXT * 50])
    )
    cached = client.models.generate_content(
        model=FLASH,
        contents=TEXT,
        config=types.GenerateContentConfig(cached_content=cache.name, max_output_tokens=50),
    )
    counted = client.models.count_tokens(model=FLASH, contents=TEXT)
    listed = list(client.models.list())

    assert plain.text
    assert len(streamed) > 1
    assert streamed[-1].usage_metadata
    assert tool.function_calls
    assert tool.function_calls[0].name == "look_up"
    assert thought[-1].usage_metadata
    assert thought[-1].usage_metadata.thoughts_token_count == 700
    assert long.usage_metadata
    assert mixed.usage_metadata
    assert cached.usage_metadata
    assert (cached.usage_metadata.cached_content_token_count or 0) > 350
    assert counted.total_tokens
    assert listed
    rows = google.rows()
    google.assert_tied_out(rows)
    known = {row["provider_response_id"]: row for row in rows if row["provider_response_id"]}
    row = known[thought[-1].response_id]
    assert (row["operation"], row["model_requested"]) == ("generate_content", "gemini-2.5-pro")
    assert (row["is_stream"], row["reasoning_tokens"]) == (True, 700)
    assert known[cached.response_id]["cache_read_audio_tokens"] == 96
    assert known[cached.response_id]["max_output_tokens"] == 50
    states = {row["path"].rsplit("/", 1)[-1]: row["price_state"] for row in rows}
    assert states[f"{FLASH}:countTokens"] == "free"
    assert states["models"] == "free"
    assert states["cachedContents"] == "unmetered", "storage has a price that no answer tells"
    assert {row["tenant_id"] for row in rows} == {"acme"}
    assert len(rows) == 10


def test_searches_are_counted_by_the_rule_of_the_generation(google: Google) -> None:
    ids = {}
    for model in (FLASH, "gemini-3-flash-preview"):
        config = types.GenerateContentConfig(tools=[SEARCH])
        answer = google.gemini.models.generate_content(model=model, contents=TEXT, config=config)
        chunks = list(
            google.gemini.models.generate_content_stream(model=model, contents=TEXT, config=config)
        )
        ids[model] = {answer.response_id, chunks[-1].response_id}

    rows = google.rows()
    google.assert_tied_out(rows)
    searches = {row["provider_response_id"]: row["web_search_requests"] for row in rows}
    assert {searches[one] for one in ids[FLASH]} == {1}, "a grounded prompt"
    assert {searches[one] for one in ids["gemini-3-flash-preview"]} == {2}, "each query once"
    assert not any("price of a call" in str(row) for row in rows), "queries are not kept"


def test_embeddings_with_and_without_usage(google: Google) -> None:
    client = google.gemini
    texts: list[Any] = ["one", "two"]
    reported = client.models.embed_content(model="gemini-embedding-2", contents=texts)
    silent = client.models.embed_content(model="gemini-embedding-001", contents=TEXT)

    assert reported.embeddings
    assert silent.embeddings
    rows = google.rows()
    google.assert_tied_out(rows)
    assert {row["operation"] for row in rows} == {"embeddings"}
    assert sorted(row["usage_source"] for row in rows) == ["estimated", "reported"]
    assert all(row["cost_usd"] > 0 for row in rows)


def test_the_asynchronous_client(google: Google) -> None:
    async def run() -> tuple[str | None, str | None]:
        models = google.gemini.aio.models
        plain = await models.generate_content(model=FLASH, contents=TEXT)
        stream = await models.generate_content_stream(model=FLASH, contents=TEXT)
        chunks = [chunk async for chunk in stream]
        await google.gemini.aio.aclose()
        return plain.response_id, chunks[-1].response_id

    ids = asyncio.run(run())

    rows = google.rows()
    google.assert_tied_out(rows)
    assert set(ids) == {row["provider_response_id"] for row in rows}


def test_errors_reach_the_client_as_its_own(google: Google) -> None:
    models = google.gemini.models
    with pytest.raises(errors.ClientError) as missing:
        models.generate_content(model="no-such-model", contents=TEXT)
    faulty = types.HttpOptions(headers={"x-sim-fault": "overloaded"})
    with pytest.raises(errors.ServerError) as busy:
        list(
            models.generate_content_stream(
                model=FLASH,
                contents=TEXT,
                config=types.GenerateContentConfig(http_options=faulty),
            )
        )
    stranger = genai.Client(
        api_key="tb_not-a-key-of-ours",
        http_options=types.HttpOptions(base_url=f"{google.house.url}/gemini"),
    )
    with contextlib.closing(stranger), pytest.raises(errors.ClientError) as refused:
        stranger.models.generate_content(model=FLASH, contents=TEXT)

    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    assert (busy.value.code, busy.value.status) == (503, "UNAVAILABLE")
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")
    rows = google.rows()
    assert [row["error_type"] for row in rows] == ["NOT_FOUND", "UNAVAILABLE", "invalid_api_key"]
    assert {row["price_state"] for row in rows} == {"not_billed"}


def test_vertex_with_labels_and_region(google: Google) -> None:
    config = types.GenerateContentConfig(labels={"workflow": "nightly", "shop": "berlin"})
    plain = google.vertex.models.generate_content(model=FLASH, contents=TEXT, config=config)
    chunks = list(google.vertex.models.generate_content_stream(model=FLASH, contents=TEXT))

    assert plain.usage_metadata
    assert plain.usage_metadata.traffic_type == types.TrafficType.ON_DEMAND
    assert chunks
    rows = google.rows()
    google.assert_tied_out(rows)
    assert {(row["provider"], row["region"]) for row in rows} == {("vertex", "europe-west4")}
    assert rows[0]["workflow_id"] == "nightly"
    assert "berlin" in str(rows[0]["tags"])


def test_other_makers_apis_under_google_s_roof(google: Google) -> None:
    compatible = openai.OpenAI(
        base_url=f"{google.house.url}/gemini/v1beta/openai", api_key=google.key, max_retries=0
    )
    claude = anthropic.AnthropicVertex(
        region="global",  # regional endpoints cost a tenth more
        project_id="proj",
        access_token=google.key,
        base_url=f"{google.house.url}/vertex/v1",
        max_retries=0,
    )
    messages: list[Any] = [{"role": "user", "content": TEXT}]
    with contextlib.closing(compatible), contextlib.closing(claude):
        chat = compatible.chat.completions.create(model=FLASH, messages=messages)
        chunks = list(
            compatible.chat.completions.create(model=FLASH, messages=messages, stream=True)
        )
        message = claude.messages.create(
            model="claude-opus-4-6@default", max_tokens=60, messages=messages
        )
        with claude.messages.stream(
            model="claude-opus-4-6@default", max_tokens=60, messages=messages
        ) as events:
            final = events.get_final_message()

    assert chat.usage
    assert all(chunk.usage is None for chunk in chunks), "asked for on our own behalf: hidden"
    assert message.usage.output_tokens
    rows = google.rows()
    google.assert_tied_out(rows)
    assert [row["operation"] for row in rows] == ["chat"] * 4
    by_id = {row["provider_response_id"]: row for row in rows}
    assert by_id[final.id]["is_stream"]
    assert by_id[final.id]["model_requested"] == "claude-opus-4-6@default"
    assert by_id[final.id]["region"] == "global"


def test_a_key_in_the_query_goes_no_further(google: Google) -> None:
    body = {"contents": [{"parts": [{"text": TEXT}]}]}
    base = f"{google.house.url}/gemini/v1beta/models/{FLASH}"
    with httpx2.Client() as http:
        first = http.post(f"{base}:generateContent?key={google.key}", json=body)
        array = http.post(f"{base}:streamGenerateContent?foo=1&key={google.key}", json=body)
        own = http.post(f"{base}:generateContent?key=sk-sim-of-the-caller", json=body)
        none = http.post(f"{base}:generateContent", json=body)

    assert [first.status_code, array.status_code, own.status_code] == [200, 200, 200]
    assert none.status_code == 401
    chunks = array.json()
    assert len(chunks) > 1, "without alt=sse it is one array"
    rows = google.rows()
    google.assert_tied_out(rows)  # no key reached the provider but in a header
    assert [row["tenant_id"] for row in rows] == ["acme", "acme", None, None]
    assert rows[1]["is_stream"]
    assert rows[1]["time_to_first_token_ns"]
    secrets = (google.key, "sk-sim-of-the-caller")
    assert not any(secret in str(row) for secret in secrets for row in rows)
    for path in google.house.data_dir.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in secrets), path


def test_a_stream_that_breaks_off_is_estimated_from_its_last_counts(google: Google) -> None:
    headers = {
        "x-sim-size": "input=800;output=400;events=10",
        "x-sim-fault": "cut_before_usage;after=4",
    }
    config = types.GenerateContentConfig(http_options=types.HttpOptions(headers=headers))
    with pytest.raises(Exception, match=r"(?i)peer|incomplete|disconnect|closed"):
        list(
            google.gemini.models.generate_content_stream(model=FLASH, contents=TEXT, config=config)
        )

    (row,) = google.rows()
    assert (row["status"], row["usage_source"]) == ("error", "estimated")
    assert (row["uncached_input_tokens"], row["visible_output_tokens"]) == (800, 160)


def test_interactions(google: Google) -> None:
    created = google.gemini.interactions.create(model="gemini-3-flash-preview", input=TEXT)
    events = list(
        google.gemini.interactions.create(model="gemini-3-flash-preview", input=TEXT, stream=True)
    )

    assert created.usage
    assert len(events) > 4
    rows = google.rows()
    google.assert_tied_out(rows)
    assert [row["operation"] for row in rows] == ["interactions"] * 2
    assert rows[0]["provider_response_id"] == created.id
    assert [row["is_stream"] for row in rows] == [False, True]
