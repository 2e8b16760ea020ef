"""Write docs/accuracy.md from the accuracy suite: every known defect, its tests, their outcome.

``python tools/accuracy_page.py`` runs the suite and writes what came of it; ``--junit FILE`` takes
the outcome of a run that has been.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.accuracy.register import GROUPS, REGISTER, REPOSITORIES  # noqa: E402 -- from the root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TESTS: Final = ROOT / "tests"
PAGE: Final = ROOT / "docs" / "accuracy.md"
_NAME: Final = re.compile(r"test_((?:[A-Ia-i]\d+_)+)(\w+)")
_THREAD: Final = re.compile(r"\b(LW|AG|L|B|O)#(\d+)")
_HEAD: Final = """# Accuracy

What gateways in front of language models are known to get wrong, each with the public report that
it comes from, and the test that drives Tollbook's real gateway with a provider that misbehaves in
that way and checks tokens, dollars and the number of entries in the ledger. This page is written
by `tools/accuracy_page.py` from the tests that bear the ids; a test fails where the page does not
name the tests that there are.
"""


def cases_of_suite() -> dict[str, list[tuple[str, str]]]:
    """Return for each case id the tests that bear it: file name and test name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(TESTS.glob("*/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                named = _NAME.fullmatch(node.name)
                for case_id in named[1].rstrip("_").split("_") if named else ():
                    found.setdefault(case_id.upper(), []).append(
                        (str(path.relative_to(TESTS)), node.name)
                    )
    return found


def outcomes(junit: Path) -> dict[str, str]:
    """Return by test name (without parameters) the worst of passed, skipped and failed."""
    worst = {"passed": 0, "skipped": 1, "failed": 2}
    found: dict[str, str] = {}
    for one in ET.parse(junit).getroot().iter("testcase"):  # noqa: S314 -- written by pytest, just now
        name = (one.get("name") or "").partition("[")[0]
        tags = {child.tag for child in one}
        outcome = "failed" if tags & {"failure", "error"} else "passed"
        outcome = "skipped" if "skipped" in tags else outcome
        if worst[outcome] >= worst[found.get(name, "passed")]:
            found[name] = outcome
    return found


def page(results: Mapping[str, str]) -> str:
    """Return the page for the outcomes of a run."""
    tests = cases_of_suite()
    with_tests = [case_id for case_id in REGISTER if case_id in tests]
    passed = [
        case_id
        for case_id in with_tests
        if all(results.get(name) == "passed" for _, name in tests[case_id])
    ]
    lines = [_HEAD]
    lines.append(
        f"{len(REGISTER)} known defects; {len(with_tests)} with a test,"
        f" {len(passed)} of them passed when this page was written.\n"
    )
    for letter, title in GROUPS.items():
        lines += [f"## {letter}. {title}\n", "| case | known defect | reported | here |",
                  "| --- | --- | --- | --- |"]  # fmt: skip
        for case_id, known in REGISTER.items():
            if case_id[0] == letter:
                said = "; ".join(_said(tests.get(case_id, ()), results)) or "no test yet"
                lines.append(f"| {case_id} | {known.defect} | {_linked(known.reported)} | {said} |")
        lines.append("")
    return "\n".join(lines)


def _said(tests: list[tuple[str, str]] | tuple[()], results: Mapping[str, str]) -> Iterator[str]:
    for file, name in tests:
        named = _NAME.fullmatch(name)
        words = "" if named is None else named[2].replace("_", " ")
        outcome = results.get(name, "not run")
        yield f"[{words}](../tests/{file}): {outcome}"


def _linked(reported: str) -> str:
    return _THREAD.sub(
        lambda one: f"[{one[0]}](https://github.com/{REPOSITORIES[one[1]]}/issues/{one[2]})",
        reported,
    )


def main() -> int:
    """Write the page; exit code 1 when a test did not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--junit", type=Path, help="outcome of a run (pytest --junitxml)")
    options = parser.parse_args()
    if options.junit is not None:
        results = outcomes(options.junit)
    else:
        with tempfile.TemporaryDirectory() as directory:
            junit = Path(directory) / "accuracy.xml"
            tests = cases_of_suite()
            files = sorted({f"tests/{file}" for one in REGISTER for file, _ in tests.get(one, ())})
            subprocess.run(  # noqa: S603 -- our own interpreter and suite
                [sys.executable, "-m", "pytest", "-q", "-n", "2", *files,
                 f"--junitxml={junit}"],
                cwd=ROOT, check=False,
            )  # fmt: skip
            results = outcomes(junit)
    PAGE.write_text(page(results), encoding="utf-8")
    return int(any(outcome != "passed" for outcome in results.values()))


if __name__ == "__main__":
    sys.exit(main())
