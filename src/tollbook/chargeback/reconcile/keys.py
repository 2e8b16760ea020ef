"""What amounts are told apart by: day, model, kind, tier, region and context window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.prices.listprices import ListPrices, list_provider_ids
from tollbook.prices.names import ProviderPrices, billed_name, provider_prices, spellings

if TYPE_CHECKING:
    from tollbook.config import Config

NS_PER_S: Final = 10**9
HOUR_NS: Final = 3600 * NS_PER_S
DAY_NS: Final = 24 * HOUR_NS
HOURS_PER_DAY: Final = 24
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT_MAX: Final = 16_384


class Key(NamedTuple):
    """What one line of a statement is of; None is all of it, or not told."""

    model: str | None = None
    kind: str | None = None
    tier: str | None = None
    region: str | None = None
    context: str | None = None


def day_of(at_ns: int) -> int:
    """Return the UTC day of a time, in days since the epoch."""
    return at_ns // DAY_NS


def day_text(day: int) -> str:
    """Return a day as ``2026-10-05``."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def hour_text(hour: int) -> str:
    """Return an hour since the epoch as ``2026-10-05T13:00Z``."""
    return f"{_EPOCH + timedelta(hours=hour):%Y-%m-%dT%H:00Z}"


class ModelNames:
    """One name for each model of a provider, whichever way it is written.

    The provider's settings name deployments and aliases; retired names are those that are billed
    for them; then the price list's own name counts, and last the name itself in lower case,
    without account, region and path.

    Args:
        config: the settings.
        provider: as configured.
    """

    def __init__(self, config: Config, provider: str) -> None:
        known = list_provider_ids()
        section = config.providers.get(provider)
        self._settings = (
            ProviderPrices(provider)
            if section is None
            else provider_prices(provider, section, known)
        )
        self._list = ListPrices()
        self._kept: dict[tuple[str, int], str] = {}

    def of(self, model: str | None, at_ns: int) -> str | None:
        """Return the one name of a model at a time; None stays None."""
        if model is None:
            return None
        day = day_of(at_ns)
        found = self._kept.get((model, day))
        if found is None:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            found = self._kept[model, day] = self._find(model, at_ns)
        return found

    def _find(self, model: str, at_ns: int) -> str:
        settings = self._settings
        named = settings.models.get(model) or settings.models.get(model.rpartition("/")[2]) or model
        billed, _, _ = billed_name(settings.list_id, named, at_ns)
        for list_id in (settings.list_id, *self._list.lenders(settings.list_id)):
            for spelling in spellings(list_id, billed):
                listed = self._list.model_id(list_id, spelling)
                if listed is not None:
                    return listed
        return billed.rpartition("/")[2].lower()
