"""Which price list is used: that of the installed ``genai-prices``, else the snapshot.

The package is part of ``tollbook[server]`` and can be newer than Tollbook. The base install has
the snapshot alone, which prices the same to the last digit where both are of one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.prices.snapshot import snapshot_list

if TYPE_CHECKING:
    from tollbook.prices.listed import PriceList


def _chosen() -> PriceList:
    try:
        from tollbook.prices.installed import installed_list  # noqa: PLC0415 -- may be absent
    except ImportError:
        return snapshot_list()
    return installed_list()


LIST: Final[PriceList] = _chosen()
