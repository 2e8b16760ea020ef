"""``python -m fuzz http|meters [libFuzzer options]``: fuzz one target with Atheris.

Runs in an environment with Atheris (``fuzz/run.sh`` makes it); inputs that break a promise are
written by libFuzzer as ``crash-*``. The corpus is replayed by the tests without Atheris.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tollbook", "fuzz"]):
    from fuzz import meter_target
    from fuzz.http_target import HttpTarget


def main() -> None:
    """Fuzz until told to stop."""
    name, *options = sys.argv[1:]
    target = HttpTarget() if name == "http" else meter_target.run
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


main()
