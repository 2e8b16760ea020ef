"""Write the snapshot of list prices that comes with Tollbook, from the installed genai-prices.

Usage: python tools/price_snapshot.py [--check] [--read-on YYYY-MM-DD]

``--check`` writes nothing and exits with 1 where the snapshot is not that of the installed package.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

import msgspec

from tollbook import clock
from tollbook.prices.installed import installed_list
from tollbook.prices.snapshot import FILE, packed, snapshot_list

PLACE = Path(__file__).parents[1] / "src" / "tollbook" / "prices" / FILE


def main() -> int:
    """Write or check the file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--read-on", type=date.fromisoformat, default=clock.utc_now().date())
    asked = parser.parse_args()
    fresh = installed_list(asked.read_on)
    if asked.check:
        kept = snapshot_list()
        if msgspec.structs.replace(fresh, read_on=kept.read_on) == kept:
            print(f"the snapshot is that of genai-prices {kept.version}")
            return 0
        print(
            f"the snapshot is of genai-prices {kept.version}, installed is {fresh.version}:"
            " run python tools/price_snapshot.py"
        )
        return 1
    data = packed(fresh)
    PLACE.write_bytes(data)
    models = sum(len(one.models) for one in fresh.providers)
    print(f"genai-prices {fresh.version}: {models} models, {len(data)} bytes, {PLACE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
