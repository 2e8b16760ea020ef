"""One run of the part ``audit``: ``python -m bench.audit_run audit FILE``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from tollbook.audit.engine import audit
from tollbook.audit.inputs.sources import open_inputs
from tollbook.audit.pricing import ListPricer


def _audit(path: str) -> dict[str, int]:
    made = audit(open_inputs([path]), ListPricer())
    return {
        "spans": made.spans,
        "findings": len(made.findings),
        "troubles": sum(one.troubles for one in made.inputs),
    }


def _plain(path: str) -> dict[str, int]:
    spans = 0
    with Path(path).open("rb") as file:
        for line in file:
            told = msgspec.json.decode(line)
            spans += sum(
                len(scope["spans"]) for one in told["resourceSpans"] for scope in one["scopeSpans"]
            )
    return {"spans": spans}


def main() -> None:
    """Run what was asked for, and print what it took as JSON."""
    what, path = sys.argv[1:3]
    begun = time.process_time()
    told = {"audit": _audit, "plain": _plain}[what](path)
    cpu_s = time.process_time() - begun
    # Of this program alone: what getrusage tells may be of the process that started it
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    print(msgspec.json.encode({**told, "cpu_s": cpu_s, "peak_mb": peak_mb}).decode())


if __name__ == "__main__":
    main()
