"""``python -m tollbook.supervisor.gateway``: a gateway worker that knows the ledger's prices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tollbook.capture.gateway.worker import main
from tollbook.supervisor.gateway_prices import GatewayPrices

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.config import Config


def prices_of(config: Config, config_path: Path | None) -> GatewayPrices:
    """Return the prices of a worker, loaded if a route needs them from the start."""
    prices = GatewayPrices(config, str(config_path or "tollbook.toml"))
    if any(route.strategy == "cost" for route in config.routes.values()):
        prices.load()
    return prices


if __name__ == "__main__":
    sys.exit(main(prices_of=prices_of))
