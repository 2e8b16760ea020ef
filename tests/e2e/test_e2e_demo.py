"""The first thing a newcomer runs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def tollbook(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tollbook", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@pytest.mark.parametrize("how", ["sdk", "fast"])
def test_the_demo_ends_with_a_report_and_a_tie_out_of_nothing(tmp_path: Path, how: str) -> None:
    options = ["--calls", "250", *(["--fast"] if how == "fast" else [])]

    done = tollbook("demo", *options, "--data", "demo", directory=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "tie-out difference: 0.000000000000 USD" in done.stdout.splitlines()
    assert "harbour-media" in done.stdout
    assert "DIFFERENT" not in done.stdout
    assert "identity that reached a provider: none" in done.stdout
    assert "Traceback" not in done.stderr
    assert "leaked" not in done.stderr
    verified = tollbook("verify", "--config", "demo/tollbook.toml", directory=tmp_path)
    assert verified.returncode == 0, verified.stdout

    again = tollbook("demo", "--calls", "20", "--fast", "--data", "demo", directory=tmp_path)
    assert again.returncode == 0, "a demo may be run again"


def test_the_demo_leaves_other_directories_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")

    done = tollbook("demo", "--data", "mine", directory=tmp_path)

    assert done.returncode == 2
    assert (tmp_path / "mine" / "file").read_text() == "precious"
