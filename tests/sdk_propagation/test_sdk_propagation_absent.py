"""Every adapter can be imported where its library is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

ADAPTERS = [
    "middleware", "middleware.asgi", "middleware.django", "middleware.fastapi",
    "middleware.flask", "middleware.starlette", "middleware.wsgi",
    "propagation", "propagation.aiohttp", "propagation.apscheduler", "propagation.arq",
    "propagation.celery", "propagation.dramatiq", "propagation.httpx", "propagation.kafka",
    "propagation.otel", "propagation.requests", "propagation.rq", "propagation.threads",
]  # fmt: skip
SCRIPT = """
import importlib, sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {NEEDED}:
            raise ModuleNotFoundError(name)
        return None

sys.meta_path.insert(0, Nothing())
for name in {ADAPTERS}:
    importlib.import_module("tollbook.sdk." + name)
"""


def test_the_base_install_is_enough() -> None:
    needed = {"tollbook", "msgspec", "opentelemetry", "typing_extensions", "importlib_metadata"}
    script = SCRIPT.replace("{NEEDED}", repr(needed)).replace("{ADAPTERS}", repr(ADAPTERS))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["celery", "rq", "dramatiq"])
def test_a_library_that_is_asked_for_and_absent_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = __import__(f"tollbook.sdk.propagation.{name}", fromlist=["instrument"])
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=name):
        adapter.instrument(*([object()] if name == "dramatiq" else []))
