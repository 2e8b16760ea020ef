"""What each rule finds and what it leaves alone, by small pieces of code."""

# ruff: noqa: E501, ISC004 -- pieces of code, in one text each

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.lint import known
from tollbook.lint.check import lint_text
from tollbook.lint.settings import LintSettings

DEFAULT = LintSettings()


def found(code: str, settings: LintSettings = DEFAULT, shown: str = "example.py") -> list[str]:
    return [one.rule.id for one in lint_text(code, settings, shown)]


BAD = {
    "alias of a module": ("import openai as o\nc = o.OpenAI()", ["TB001"]),
    "alias of a class": ("from openai import OpenAI as O\nC = O\nc = C()", ["TB001"]),
    "alias in a class": (
        "import openai\nclass A:\n    kind = openai.OpenAI\n    def go(self):\n        return self.kind()",
        ["TB001"],
    ),
    "subclass": ("from groq import Groq\nclass Mine(Groq): ...\nc = Mine()", ["TB001"]),
    "partial": (
        "from functools import partial\nimport openai\nmake = partial(openai.OpenAI)\nc = make()",
        ["TB001"],
    ),
    "imported in a function": ("def f():\n    from cohere import ClientV2\n    return ClientV2()", ["TB001"]),
    "star": ("from anthropic import *\nc = AsyncAnthropic()", ["TB001"]),
    "import_module": (
        "import importlib\no = importlib.import_module('openai')\nc = o.OpenAI()",
        ["TB001"],
    ),
    "google": ("from google import genai\nc = genai.Client()", ["TB001"]),
    "dotted import": ("import google.genai\nc = google.genai.Client()", ["TB001"]),
    "mistral": ("from mistralai.client import Mistral\nc = Mistral(api_key='k')", ["TB001"]),
    "boto3": ("import boto3\nc = boto3.client('bedrock-runtime')", ["TB001"]),
    "boto3 session": (
        "import boto3\nc = boto3.Session().client(service_name='bedrock-runtime')",
        ["TB001"],
    ),
    "module's own client": ("import openai\nopenai.chat.completions.create(model='m')", ["TB001"]),
    "litellm by name": ("from litellm import acompletion as go\nasync def f(): await go()", ["TB001"]),
    "wrapped in another function": (
        "import openai, tollbook\ndef a():\n    c = openai.OpenAI()\ndef b(c):\n    tollbook.wrap(c)",
        ["TB001"],
    ),
    "wrapped by something else": ("import openai\nc = wrap(openai.OpenAI())", ["TB001"]),
    "as an argument": ("import openai\nrun(openai.OpenAI())", ["TB001"]),
    "chained": ("import openai\nopenai.OpenAI().chat.completions.create()", ["TB001"]),
    "re-exported": ("from openai import OpenAI", ["TB002"]),
    "default factory": (
        "import openai\nfrom dataclasses import field\nx = field(default_factory=openai.OpenAI)",
        ["TB002"],
    ),
    "in a dict": ("import openai\nKINDS = {'openai': openai.OpenAI}", ["TB002"]),
    "returned": ("import openai\ndef f():\n    return openai.OpenAI", ["TB002"]),
    "client of httpx": ("import httpx\nc = httpx.Client(base_url='https://api.anthropic.com')", ["TB003"]),
    "method and address": (
        "async def f(session):\n    await session.request('POST', 'https://api.cohere.com/v2/chat')",
        ["TB003"],
    ),
    "urllib": (
        "from urllib.request import Request, urlopen\nurlopen(Request('https://api.groq.com/openai/v1'))",
        ["TB003"],
    ),
    "http.client": ("import http.client\nhttp.client.HTTPSConnection('api.openai.com')", ["TB003"]),
    "address from the environment": (
        "import os, requests\nU = os.environ.get('U', 'https://openrouter.ai/api')\nrequests.post(U + '/v1')",
        ["TB003"],
    ),
    "address on self": (
        "import httpx\nclass A:\n    def __init__(self):\n        self.url = 'https://api.x.ai/v1'\n"
        "    def go(self):\n        httpx.post(self.url)",
        ["TB003"],
    ),
    "base_url of a client": (
        "import openai\nc = openai.OpenAI(base_url='https://api.deepseek.com')",
        ["TB001", "TB004"],
    ),
    "setdefault": (
        "import os\nos.environ.setdefault('ANTHROPIC_BASE_URL', 'https://api.anthropic.com')",
        ["TB004"],
    ),
    "a module's address": ("import openai\nopenai.base_url = 'https://api.openai.com/v1'", ["TB004"]),
    "langchain": ("from langchain_anthropic import ChatAnthropic\nm = ChatAnthropic(model='m')", ["TB005"]),
    "init_chat_model": (
        "from langchain.chat_models import init_chat_model\nm = init_chat_model('openai:gpt-4o')",
        ["TB005"],
    ),
    "llama index": ("from llama_index.llms.openai import OpenAI\nm = OpenAI()", ["TB005"]),
    "pydantic ai": (
        "from pydantic_ai.models.anthropic import AnthropicModel\nm = AnthropicModel('m')",
        ["TB005"],
    ),
    "async generator": (
        "from tollbook import sdk\nasync def g():\n    async with sdk.scope(tenant='a'):\n"
        "        async for x in y():\n            yield x",
        ["TB006"],
    ),
    "scope kept in a name": (
        "import tollbook\ndef g():\n    s = tollbook.tenant('a')\n    with s:\n        yield 1",
        ["TB006"],
    ),
    "yield from": (
        "from tollbook import tenant as t\ndef g():\n    with open('x') as f, t('a'):\n        yield from f",
        ["TB006"],
    ),
    "thread": ("from threading import Thread\nThread(target=f).start()", ["TB007"]),
    "executor of the loop": ("async def f(loop):\n    await loop.run_in_executor(None, g)", ["TB007"]),
    "pool on self": (
        "from concurrent import futures\nclass A:\n    def __init__(self):\n"
        "        self.pool = futures.ThreadPoolExecutor()\n    def go(self):\n        self.pool.map(f, [])",
        ["TB007"],
    ),
}  # fmt: skip

GOOD = {
    "wrapped at once": "import openai, tollbook\nc = tollbook.wrap(openai.OpenAI())",
    "wrapped later": "import openai\nfrom tollbook.sdk import wrap\nc = openai.OpenAI()\nc = wrap(c)",
    "wrapped on self": (
        "import openai, tollbook\nclass A:\n    def __init__(self):\n        self.c = openai.OpenAI()\n"
        "        tollbook.wrap(self.c)"
    ),
    "global wrapped in a function": (
        "import openai, tollbook\nc = openai.OpenAI()\ndef start():\n    tollbook.wrap(c)"
    ),
    "wrapped with with": (
        "import openai, tollbook\nasync def f():\n    async with openai.AsyncOpenAI() as c:\n"
        "        tollbook.wrap(c)"
    ),
    "wrapped conditionally": (
        "import openai, tollbook\nc = tollbook.wrap(openai.OpenAI() if x else openai.AzureOpenAI())"
    ),
    "own wrapper": (
        "import openai, tollbook\ndef metered(c):\n    return tollbook.wrap(c)\nc = metered(openai.OpenAI())"
    ),
    "wrap by alias": "import openai\nfrom tollbook import wrap as w\nc = w(openai.OpenAI())",
    "bedrock": "import boto3, tollbook\nc = tollbook.wrap(boto3.client('bedrock-runtime'))",
    "another service": "import boto3\nc = boto3.client('s3')",
    "gateway by name": "import openai\nc = openai.OpenAI(base_url=settings.gateway_url)",
    "gateway by a variable": "import os, openai\nc = openai.OpenAI(base_url=os.environ['TOLLBOOK_GATEWAY'])",
    "annotation": "import openai\ndef f(c: openai.OpenAI | None) -> openai.OpenAI: ...",
    "annotation of a list": "import openai\nx: dict[str, openai.OpenAI] = {}",
    "isinstance": "import openai\nisinstance(x, (openai.OpenAI, openai.AsyncOpenAI))",
    "match": "import openai\nmatch x:\n    case openai.OpenAI(): ...",
    "errors and types": "from openai import APIError\nfrom openai.types import Model\nraise APIError",
    "for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from openai import OpenAI",
    "another OpenAI": "from app.fakes import OpenAI\nc = OpenAI()",
    "relative import": "from .openai import OpenAI\nc = OpenAI()",
    "a look-up by address": "prices = table.get('x', 'https://api.openai.com')",
    "a look-alike host": "import requests\nrequests.get('https://api.openai.com.example.org')",
    "an address in a text": "import requests\nrequests.post(u, json={'see': 'https://api.openai.com'})",
    "address as a parameter": (
        "import requests\nurl = 'https://api.openai.com'\ndef f(url):\n    requests.get(url)"
    ),
    "wrapped http client": (
        "import httpx, tollbook\nc = tollbook.wrap(httpx.Client())\nc.post('https://api.openai.com/v1')"
    ),
    "langchain over the gateway": (
        "from langchain_openai import ChatOpenAI\nm = ChatOpenAI(base_url='http://localhost:8080/openai/v1')"
    ),
    "langchain with a wrapped client": (
        "import openai, tollbook\nfrom langchain_openai import ChatOpenAI\n"
        "c = tollbook.wrap(openai.OpenAI())\nm = ChatOpenAI(client=c.chat.completions)"
    ),
    "agent of a test": "from pydantic_ai import Agent\na = Agent('test')\nb = Agent(model)",
    "context manager": (
        "import contextlib, tollbook\n@contextlib.contextmanager\ndef f():\n    with tollbook.tenant('a'):\n"
        "        yield"
    ),
    "fixture": (
        "import pytest, tollbook\n@pytest.fixture(scope='module')\ndef f():\n    with tollbook.tenant('a'):\n"
        "        yield"
    ),
    "yield of an inner function": (
        "import tollbook\ndef f():\n    with tollbook.tenant('a'):\n        def g():\n            yield 1\n"
        "        return list(g())"
    ),
    "another with": "def f():\n    with open('x') as f:\n        yield f",
    "to_thread": "import asyncio\nasync def f():\n    await asyncio.to_thread(g)",
    "copied context": (
        "import contextvars, threading\nctx = contextvars.copy_context()\n"
        "threading.Thread(target=ctx.run, args=(f,)).start()"
    ),
    "carried": (
        "from threading import Thread\nfrom tollbook.sdk.propagation.threads import run_in_context\n"
        "Thread(target=run_in_context(f)).start()"
    ),
    "instrumented": (
        "from threading import Thread\nfrom tollbook.sdk.propagation.threads import instrument_threads\n"
        "instrument_threads()\nThread(target=f).start()"
    ),
    "propagating executor": (
        "from tollbook.sdk.propagation.threads import PropagatingExecutor\np = PropagatingExecutor()\n"
        "async def f(loop):\n    p.submit(g)\n    await loop.run_in_executor(p, g)"
    ),
    "map of no pool": "frame.map(f)",
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), BAD.values(), ids=BAD)
def test_found(code: str, expected: list[str]) -> None:
    assert sorted(found(code)) == expected


@pytest.mark.parametrize("code", GOOD.values(), ids=GOOD)
def test_left_alone(code: str) -> None:
    assert found(code) == []


@pytest.mark.parametrize("name", sorted(known.CLIENTS | known.FRAMEWORKS))
def test_every_known_name_is_found(name: str) -> None:
    package, _, last = name.rpartition(".")
    expected = "TB001" if name in known.CLIENTS else "TB005"
    assert found(f"from {package} import {last} as Made\nx = Made()") == [expected]


@pytest.mark.parametrize("name", sorted(known.LITELLM))
def test_every_function_of_litellm_is_found(name: str) -> None:
    assert found(f"import litellm\n{name}()") == ["TB001"]


def test_allowed_modules_may_make_clients_and_nothing_else() -> None:
    code = "import openai, threading\nc = openai.OpenAI()\nthreading.Thread(target=f)"
    settings = LintSettings(allow=("app.llm",))
    assert found(code, settings, "app/llm.py") == ["TB007"]
    assert found(code, settings, "app/llm/__init__.py") == ["TB007"]
    assert found(code, settings, "app/llms.py") == ["TB001", "TB007"]


def test_own_wrappers_and_gateways() -> None:
    settings = LintSettings(
        wrappers=("app.llm.metered",), gateways=("https://llm.example.com",), ignore=("TB002",)
    )
    good = "import openai\nfrom app.llm import metered\nc = metered(openai.OpenAI())"
    passing = "import openai\nc = openai.OpenAI(base_url='https://llm.example.com/openai/v1')"
    past = "import openai\nc = openai.OpenAI(base_url='http://localhost:1234/v1')"
    assert found(good, settings) == found(passing, settings) == []
    assert found(past, settings) == ["TB001"]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# tollbook: allow TB001 -- a reason", []),
        ("# tollbook: allow TB002,TB001 -- a reason", []),
        ("# Tollbook:allow tb001 -- a reason", []),
        ("# tollbook: allow TB002 -- another rule", ["TB001"]),
        ("# tollbook: allow TB001", ["TB001", "TB008"]),
        ("# tollbook: allow TB001 --", ["TB001", "TB008"]),
        ("# noqa", ["TB001"]),
    ],
)
def test_comments(comment: str, expected: list[str]) -> None:
    assert found(f"import openai\nc = openai.OpenAI()  {comment}\n") == expected
    assert sorted(found(f"import openai\n{comment}\nc = openai.OpenAI()\n")) == expected
    many = f"import openai\nc = openai.OpenAI(\n    api_key='k',\n)  {comment}\n"
    assert found(many) == expected


def test_a_comment_within_a_text_is_none() -> None:
    code = "import openai\nc = openai.OpenAI(api_key='# tollbook: allow TB001 -- no')\n"
    assert found(code) == ["TB001"]


@given(
    st.lists(
        st.sampled_from([
            "import openai", "from openai import OpenAI as A", "A = B", "B = A", "c = A()",
            "class A(B): ...", "def f(x): return A(x)", "A.b.c(A)", "x = f(A)", "A: A = A",
            "import openai as A", "from a import *", "with A as B: pass", "url = url + url",
            "url = f'{url}'", "requests.get(url)", "(lambda: (yield))()", "del A", "A = partial(A)",
        ]),
        max_size=12,
    )
)  # fmt: skip
def test_no_code_makes_it_fail(lines: list[str]) -> None:
    lint_text("\n".join(lines), DEFAULT)
