"""Which price list is used: the snapshot, or that of an installed ``genai-prices`` of another date.

The base install has the snapshot alone. ``tollbook[server]`` has ``genai-prices`` too, which can be
newer than Tollbook. Where both are of one version they say the same, and the snapshot is read in a
twentieth of the time.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from tollbook.prices.snapshot import snapshot_list

if TYPE_CHECKING:
    from tollbook.prices.listed import PriceList


def _chosen() -> PriceList:
    kept = snapshot_list()
    try:
        if version("genai-prices") == kept.version:
            return kept
        from tollbook.prices.installed import installed_list  # noqa: PLC0415 -- may be absent
    except (PackageNotFoundError, ImportError):
        return kept
    return installed_list()


LIST: Final[PriceList] = _chosen()
