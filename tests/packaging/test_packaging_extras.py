"""Each extra imports with nothing but its own packages: the SDK stays small, a gateway host too."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires

import pytest

BLOCKER = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} does not belong to this extra")
        return None

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocker())
import importlib
for module in sys.argv[2].split(","):
    importlib.import_module(module)
print("imported")
"""

IMPORT_NAMES = {
    "ibis-framework": "ibis",
    "genai-prices": "genai_prices",
}
BASE = [
    "tollbook.call",
    "tollbook.identity.resolve",
    "tollbook.lint.check",
    "tollbook.money",
    "tollbook.sdk.context",
    "tollbook.sdk.environ",
    "tollbook.sdk.harness",
    "tollbook.sdk.missing",
    "tollbook.sdk.sinks.otel",
    "tollbook.sdk.sinks.spool",
    "tollbook.sdk.sinks.tollbook",
    "tollbook.usage",
]
GATEWAY = [*BASE, "tollbook.capture.gateway.worker", "tollbook.dialects.registry"]
SERVER = [
    *GATEWAY,
    "tollbook.cli.main",
    "tollbook.console.process",
    "tollbook.ledger.ingest",
    "tollbook.reports.spend",
    "tollbook.simulator.process",
    "tollbook.supervisor.gateway",
    "tollbook.supervisor.run",
]


def packages_of(extra: str | None) -> set[str]:
    """Import names of what an extra asks for, with the extras it includes."""
    found = set()
    for requirement in requires("tollbook") or []:
        head, _, marker = requirement.partition(";")
        named = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        if (named[1] if named else None) != extra:
            continue
        inner = re.match(r"tollbook\[(.+)\]", head.strip())
        if inner:
            found |= packages_of(inner[1])
            continue
        name = re.match(r"[A-Za-z0-9-]+", head.strip())
        assert name
        found.add(IMPORT_NAMES.get(name[0], name[0].replace("-", "_")))
    return found


@pytest.mark.parametrize(
    ("extras", "modules"),
    [
        ([None], BASE),
        ([None, "gateway"], GATEWAY),
        ([None, "gateway", "server"], SERVER),
    ],
    ids=["base", "gateway", "server"],
)
def test_an_extra_imports_with_only_its_packages(
    extras: list[str | None], modules: list[str]
) -> None:
    everything = packages_of(None).union(
        *(packages_of(extra) for extra in ("gateway", "server", "simulator"))
    )
    allowed = set().union(*(packages_of(extra) for extra in extras))
    blocked = everything - allowed
    assert blocked

    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, ",".join(sorted(blocked)), ",".join(modules)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.stdout.strip(), done.returncode) == ("imported", 0), done.stderr
