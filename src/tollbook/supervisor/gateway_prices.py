"""The prices of a gateway worker: what the ledger will book, told before it has booked it.

Most workers never need them: they are loaded, in a thread, when the first caller asks what its
call cost, or at the start where a route orders its targets by cost.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook import __version__, clock
from tollbook.call import Call, CallClosed, CallOpened, Evidence
from tollbook.capture.gateway.cost_report import Cost
from tollbook.capture.gateway.routing.strategy import ListPrice
from tollbook.errors import TollbookError
from tollbook.supervisor.gateway_books import GatewayBooks
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.config import Config
    from tollbook.ledger.charge import Charge
    from tollbook.prices.book import BookPrices, PriceBook

_log = logging.getLogger(__name__)

_NOT_YET: Final = "the prices are not loaded"
_MILLION: Final = 1_000_000
_LOOK_EVERY_NS: Final = 10 * clock.NS_PER_S
_INPUT, _OUTPUT = KINDS.index("uncached_input_tokens"), KINDS.index("visible_output_tokens")


class GatewayPrices:
    """See :class:`tollbook.capture.gateway.cost_report.Costs`.

    Cards that are imported while it runs are used within seconds: a look every ten seconds, by a
    thread, while somebody asks.

    Args:
        config: the settings, those of prices among them.
        source: where they stand, for errors.
    """

    def __init__(self, config: Config, source: str) -> None:
        self._config = config
        self._source = source
        self._book: PriceBook | None = None
        self._books = GatewayBooks(Path(config.store.dir))
        self._look_ns = 0
        self._charge: Callable[[Call], Charge] | None = None
        self._problem = _NOT_YET
        self._waiting: list[Callable[[], None]] = []
        self._loading: asyncio.Future[None] | None = None
        self.is_ready = False

    def load(self) -> None:
        """Load now; takes up to a second. What goes wrong is told to those who ask."""
        try:
            from tollbook.ledger.charge import charge_of  # noqa: PLC0415 -- see above
            from tollbook.prices.book import PriceBook  # noqa: PLC0415 -- as above

            book = PriceBook.of_config(self._config, self._source)
            self._look_ns = clock.monotonic_ns() + _LOOK_EVERY_NS
            in_books = self._books.read(book.providers)
            if in_books is not None:
                book.take(in_books)
        except ImportError:
            self._problem = "prices are not installed on this host"
        except TollbookError as error:
            _log.warning("costs cannot be told to callers: %s", error.message)
            self._problem = "the prices of this gateway cannot be used"
        else:
            self._book = book
            self._charge = lambda call: charge_of(call, book.resolve, book.uses_reported)
        self.is_ready = True

    def when_ready(self, then: Callable[[], None]) -> None:
        """Call back from the event loop once the prices are loaded."""
        if self.is_ready:
            then()
            return
        self._waiting.append(then)
        if self._loading is None:
            self._loading = asyncio.get_running_loop().run_in_executor(None, self.load)
            self._loading.add_done_callback(self._loaded)

    def _loaded(self, loading: asyncio.Future[None]) -> None:
        if not loading.cancelled() and loading.exception() is not None:
            _log.error("prices could not be loaded", exc_info=loading.exception())
        self.is_ready = True
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then()

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost | str:
        """Return what the ledger will book for a call, its parts included."""
        if self._charge is None:
            return self._problem
        self._keep_up()
        try:
            charge = self._charge(Call(opened, closed, Evidence("", 0, 0, __version__)))
        except Exception as error:  # noqa: BLE001 -- the answer goes out all the same
            _log.exception("a cost could not be told")
            return f"the cost could not be told ({type(error).__name__})"
        return _told(charge)

    def _keep_up(self) -> None:
        """Have a thread look whether the books say something new, every so often."""
        now_ns = clock.monotonic_ns()
        if now_ns < self._look_ns or self._book is None:
            return
        self._look_ns = now_ns + _LOOK_EVERY_NS
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # asked outside of a worker
        looking = loop.run_in_executor(None, self._books.read, self._book.providers)
        looking.add_done_callback(self._looked)

    def _looked(self, looking: asyncio.Future[BookPrices | None]) -> None:
        # Back in the thread that resolves: a price book is for one at a time.
        if looking.cancelled() or self._book is None:
            return
        error = looking.exception()
        if error is not None:
            _log.warning("prices stay as they are: %s", error)
            return
        found = looking.result()
        if found is not None:
            self._book.take(found)

    def list_price(self, provider: str, model: str) -> ListPrice | None:
        """Return what a model costs now, for routes that are ordered by cost."""
        if self._book is None:
            return None
        self._keep_up()
        card = self._book.resolve(provider, model, clock.unix_ns(), None)
        rates = None if card is None else (card.rates[_INPUT], card.rates[_OUTPUT])
        if rates is None or rates[0] is None or rates[1] is None:
            return None
        return ListPrice(rates[0].cost_pico(_MILLION), rates[1].cost_pico(_MILLION))


def _told(charge: Charge) -> Cost:
    """Return the sum of a charge and of its parts, each of which is an entry of its own."""
    pieces = [charge, *(part.charge for part in charge.further)]
    states = {piece.state.value for piece in pieces}
    unknown = sorted(states & {"unpriced", "unmetered"})
    kinds = [piece.kinds for piece in pieces if piece.kinds is not None]
    total = Kinds(*map(sum, zip(*kinds, strict=True))) if kinds else None
    costs = [piece.cost for piece in pieces]
    saved = [piece.saved for piece in pieces]
    return Cost(
        price_state=unknown[0] if unknown else charge.state.value,
        cost_pico=None if None in costs else sum(cost or 0 for cost in costs),
        saved_pico=None if None in saved else sum(one or 0 for one in saved),
        usage=()
        if total is None
        else tuple(
            (kind, n) for kind, n in zip(KINDS, total, strict=True) if n and kind != "requests"
        ),
        usage_source=charge.source.value,
        price_card=charge.card_id,
    )
