"""The first records of each key, in memory that does not grow with them.

Records of one key are looked at together in memory, so a key that everything has (an id that was
made once and is used for ever) must not bring everything together.
"""

from __future__ import annotations

from typing import Final

_KEYS_MAX: Final = 50_000


class FirstOf:
    """Takes so many records of each key, and now and then some more.

    Args:
        records_max: of one key; counting begins anew after many keys.
    """

    def __init__(self, records_max: int) -> None:
        self._max = records_max
        self._taken: dict[str, int] = {}

    def takes(self, key: str) -> bool:
        """Count a record, and return whether it is one of the first of its key."""
        number = self._taken.get(key, 0)
        if number >= self._max:
            return False
        if not number and len(self._taken) >= _KEYS_MAX:
            self._taken.clear()
        self._taken[key] = number + 1
        return True
