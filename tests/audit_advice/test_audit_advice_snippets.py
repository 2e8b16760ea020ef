"""Every snippet of the advice is well formed, and what it uses of Tollbook exists."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import shlex
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dramatiq
import pytest
import yaml  # type: ignore[import-untyped]
from dramatiq.brokers.stub import StubBroker
from opentelemetry import baggage, context

import tollbook
from tollbook.audit.advice.advise import BOOK
from tollbook.audit.advice.making import DOCS
from tollbook.config import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.findings import Advice

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"python", "yaml", "toml", "bash", "ini", "text"}


def _snippets() -> Iterator[tuple[str, str, str]]:
    for key, one in BOOK.items():
        name = "-".join(part or "any" for part in key)
        yield name, one.language, one.snippet
        if one.with_tollbook:
            yield f"{name}-tollbook", one.with_tollbook_language, one.with_tollbook


SNIPPETS = list(_snippets())
PYTHON = [(name, text) for name, language, text in SNIPPETS if language == "python"]
WITH_TOLLBOOK = [(name, text) for name, text in PYTHON if name.endswith("-tollbook")]


@pytest.mark.parametrize(("name", "language", "snippet"), SNIPPETS, ids=[s[0] for s in SNIPPETS])
def test_a_snippet_is_well_formed(name: str, language: str, snippet: str) -> None:
    del name
    assert language in LANGUAGES
    assert snippet == snippet.strip("\n")
    assert snippet.strip()
    assert max(map(len, snippet.split("\n"))) <= 96
    assert "\t" not in snippet
    if language == "python":
        compile(snippet, "snippet", "exec")
    elif language == "yaml":
        assert isinstance(yaml.safe_load(snippet), dict)
    elif language == "toml":
        assert tomllib.loads(snippet)
    elif language == "bash":
        lines = [line for line in snippet.split("\n") if not line.startswith("#")]
        assert lines
        assert all(shlex.split(line) for line in lines)


def test_python_snippets_use_no_name_that_they_do_not_define(tmp_path: Path) -> None:
    for name, snippet in PYTHON:
        (tmp_path / f"{name.replace('/', '_')}.py").write_text(snippet + "\n", encoding="utf-8")
    ran = subprocess.run(
        [
            sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format",
            "json", "--select", "F,E9", str(tmp_path),
        ],
        capture_output=True,
        check=False,
        text=True,
    )  # fmt: skip
    told = [f"{Path(one['filename']).name}: {one['message']}" for one in json.loads(ran.stdout)]
    assert told == []


def _names_of_tollbook(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tollbook"):
            for one in node.names:
                yield node.module or "", one.name
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "tollbook":
            yield "tollbook", node.attr


@pytest.mark.parametrize(("name", "snippet"), WITH_TOLLBOOK, ids=[s[0] for s in WITH_TOLLBOOK])
def test_what_a_snippet_uses_of_tollbook_exists(name: str, snippet: str) -> None:
    del name
    used = list(_names_of_tollbook(ast.parse(snippet)))
    for module, attribute in used:
        assert hasattr(importlib.import_module(module), attribute), f"{module}.{attribute}"
    assert used or "tollbook.sdk.middleware.django.TollbookMiddleware" in snippet


def test_settings_that_name_middlewares_name_existing_ones() -> None:
    for _, snippet in PYTHON:
        for node in ast.walk(ast.parse(snippet)):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and value.startswith("tollbook."):
                module, _, attribute = value.rpartition(".")
                assert hasattr(importlib.import_module(module), attribute)


def test_snippets_of_settings_are_settings(tmp_path: Path) -> None:
    read = 0
    for one in BOOK.values():
        if one.with_tollbook_language == "toml" and one.with_tollbook:
            path = tmp_path / "tollbook.toml"
            path.write_text(one.with_tollbook, encoding="utf-8")
            load_config(path, {})
            read += 1
    assert read >= 4


@pytest.mark.parametrize("one", BOOK.values(), ids=["-".join(key) for key in BOOK])
def test_advice_says_what_and_why(one: Advice) -> None:
    assert 10 < len(one.title) <= 100
    assert not one.title.endswith(".")
    assert one.why.endswith(".")
    assert 30 < len(one.why) <= 300


def test_pages_that_are_named_exist() -> None:
    pages = {one.page for one in BOOK.values() if one.page}
    assert pages
    for page in pages:
        assert page.startswith(DOCS)
        assert (ROOT / "docs" / page.removeprefix(DOCS)).is_file(), page


def _run(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(snippet, "snippet", "exec"), names)
    return names


def test_a_job_has_the_context_of_who_published_it() -> None:
    names = _run(BOOK["background-jobs", "queue"].snippet)
    queue: list[dict[str, Any]] = []
    seen = []
    token = context.attach(baggage.set_baggage("tenant.id", "acme"))
    names["publish"](queue.append, {"document": 7})
    context.detach(token)
    names["work"](queue[0], lambda job: seen.append((job, baggage.get_baggage("tenant.id"))))
    assert seen == [({"document": 7}, "acme")]
    assert baggage.get_baggage("tenant.id") is None


def test_a_job_has_the_identity_of_who_published_it_with_tollbook() -> None:
    names = _run(BOOK["background-jobs", "queue"].with_tollbook)
    queue: list[dict[str, Any]] = []
    seen = []
    with tollbook.tenant("acme"):
        names["publish"](queue.append, {"document": 7})
    names["work"](queue[0], lambda job: seen.append((job, tollbook.current().tenant_id)))
    assert seen == [({"document": 7}, "acme")]
    assert tollbook.current().tenant_id is None


def test_a_record_of_kafka_has_the_context_of_its_producer() -> None:
    names = _run(BOOK["background-jobs", "kafka"].snippet)
    sent: list[dict[str, Any]] = []
    producer = SimpleNamespace(send=lambda _topic, _value, **more: sent.append(more))
    token = context.attach(baggage.set_baggage("tenant.id", "acme"))
    names["publish"](producer, "topic", b"value")
    context.detach(token)
    seen = []
    record = SimpleNamespace(headers=sent[0]["headers"])
    names["consume"](record, lambda _: seen.append(baggage.get_baggage("tenant.id")))
    assert seen == ["acme"]


def test_work_of_a_thread_has_its_callers_context() -> None:
    names = _run(BOOK["background-jobs", "thread"].snippet)
    token = context.attach(baggage.set_baggage("tenant.id", "acme"))
    try:
        with ThreadPoolExecutor(1) as pool:
            assert names["submit"](pool, baggage.get_baggage, "tenant.id").result() == "acme"
            assert pool.submit(baggage.get_baggage, "tenant.id").result() is None
    finally:
        context.detach(token)


def test_a_generator_leaves_no_context_behind() -> None:
    names = _run(BOOK["identity-conflict", ""].snippet)

    def parts() -> Iterator[Any]:
        yield baggage.get_baggage("tenant.id")
        yield baggage.get_baggage("tenant.id")

    seen = [
        (part, baggage.get_baggage("tenant.id")) for part in names["stream_as"]("acme", parts())
    ]
    assert seen == [("acme", None), ("acme", None)]


def test_the_tenant_of_a_middleware_reaches_the_application() -> None:
    names = _run(BOOK["missing-tenant", "fastapi"].snippet)
    seen = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(baggage.get_baggage("tenant.id"))

    middleware = names["TenantMiddleware"](app, lambda scope: scope["tenant"])
    asyncio.run(middleware({"tenant": "acme"}, None, None))
    assert seen == ["acme"]


def test_a_message_of_dramatiq_has_the_context_of_who_sent_it() -> None:
    broker = StubBroker()
    broker.emit_after("process_boot")
    dramatiq.set_broker(broker)
    _run(BOOK["background-jobs", "dramatiq"].snippet)
    seen = []

    @dramatiq.actor(broker=broker)
    def work() -> None:
        seen.append(baggage.get_baggage("tenant.id"))

    token = context.attach(baggage.set_baggage("tenant.id", "acme"))
    work.send()
    context.detach(token)
    work.send()
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
    worker.start()
    try:
        broker.join(work.queue_name)
        worker.join()
    finally:
        worker.stop()
        broker.close()
    assert seen == ["acme", None]


def test_a_stream_is_made_and_read_in_the_context_of_its_request() -> None:
    names = _run(BOOK["streaming-owner", ""].snippet)

    def answer() -> Iterator[Any]:
        for _ in range(2):
            yield baggage.get_baggage("tenant.id")

    token = context.attach(baggage.set_baggage("tenant.id", "acme"))
    stream = names["in_context"](answer)
    context.detach(token)
    assert [(part, baggage.get_baggage("tenant.id")) for part in stream] == [("acme", None)] * 2


def test_a_stream_belongs_to_its_tenant_with_tollbook() -> None:
    names = _run(BOOK["streaming-owner", ""].with_tollbook)

    def answer() -> Iterator[Any]:
        for _ in range(2):
            yield tollbook.current().tenant_id

    stream = names["stream_as"]("acme", answer)
    assert [(part, tollbook.current().tenant_id) for part in stream] == [("acme", None)] * 2
