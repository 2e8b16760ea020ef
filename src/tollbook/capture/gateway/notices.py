"""Log lines that may repeat: one a while for each subject, with how many were held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook import clock

if TYPE_CHECKING:
    import logging

_EVERY_NS = 10 * clock.NS_PER_S
_MAX_SUBJECTS = 1000

_last: dict[str, tuple[int, int]] = {}


def notice(logger: logging.Logger, subject: str, message: str, *args: object) -> None:
    """Warn about a subject, at most every ten seconds."""
    now_ns = clock.monotonic_ns()
    last_ns, held_back = _last.get(subject, (0, 0))
    if last_ns and now_ns - last_ns < _EVERY_NS:
        _last[subject] = (last_ns, held_back + 1)
        return
    if len(_last) >= _MAX_SUBJECTS:
        _last.clear()
    _last[subject] = (now_ns, 0)
    logger.warning(message, *args)
    if held_back:
        logger.warning("... and %d more like this before", held_back)
