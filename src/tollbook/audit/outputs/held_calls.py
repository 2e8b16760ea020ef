"""Lines of calls without an owner are held until everything was seen: then their cause is known.

So the lines agree with the report: sums by cause are those of the dollars at risk. What is held is
in memory, else on disk, as spans are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.audit.findings import Mode
from tollbook.audit.outputs.calls import row_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.grouping import Grouping
    from tollbook.audit.scoring import CallScore
    from tollbook.audit.trace import Trace

_OWNERLESS: Final = Mode.MISSING_TENANT.value
_ROW, _CAUSE, _GROUP = b"r", b"c", b"g"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode


class HeldCalls:
    """Writes calls as rows, those whose cause may still change at the end.

    Args:
        write: takes a row.
        held: where rows and causes are held by the call's id.
    """

    def __init__(self, write: Callable[[dict[str, Any]], None], held: Grouping) -> None:
        self._write, self._held = write, held
        self._groups: dict[str, str] = {}

    def __call__(self, trace: Trace, span: SpanFact, scored: CallScore) -> None:
        """Write a call, or hold it."""
        row = row_of(trace, span, scored)
        if scored.cause == _OWNERLESS:
            self._put(span.ref, _ROW + _encode(row))
        else:
            self._write(row)

    def waits(self, ref: str, group: str) -> None:
        """Keep which group a call is of."""
        self._put(ref, _GROUP + group.encode())

    def because(self, hit: Hit) -> None:
        """Keep why calls have no owner."""
        for ref in hit.affected:
            self._put(ref, _CAUSE + hit.mode.value.encode())
        if hit.group:
            self._groups[hit.group] = hit.mode.value

    def finish(self) -> None:
        """Write what was held."""
        for _, records in self._held.groups():
            cause = _OWNERLESS
            for one in records:
                if one[:1] == _CAUSE:
                    cause = one[1:].decode()
                elif one[:1] == _GROUP:
                    cause = self._groups.get(one[1:].decode(), cause)
            for one in records:
                if one[:1] == _ROW:
                    self._write(_decode(one[1:]) | {"cause": cause})

    def _put(self, ref: str, record: bytes) -> None:
        self._held.put(ref.encode(errors="surrogatepass"), record)
