"""The gateway of one worker: listening, the shared parts, once-a-second work, and stopping."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tollbook.capture.batch.watch import Batches
from tollbook.capture.gateway.admission import Admission
from tollbook.capture.gateway.budget_watch import room_of
from tollbook.capture.gateway.callers import Callers
from tollbook.capture.gateway.client import ClientConnection
from tollbook.capture.gateway.cost_report import NoCosts
from tollbook.capture.gateway.credentials.exposition import key_metrics
from tollbook.capture.gateway.known_heads import KnownHeads
from tollbook.capture.gateway.layer_work import LayerWork
from tollbook.capture.gateway.metrics import Metrics
from tollbook.capture.gateway.notices import notice
from tollbook.capture.gateway.provider import Upstream
from tollbook.capture.gateway.response_cache import ResponseCache
from tollbook.capture.gateway.routing.router import Router
from tollbook.capture.gateway.routing.target_metrics import target_metrics
from tollbook.capture.gateway.tagging import pseudonym_secret
from tollbook.capture.gateway.turn import Turn
from tollbook.capture.gateway.wheel import Wheel

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from tollbook.budgets.guard import Guard
    from tollbook.budgets.waiting import WaitingRoom
    from tollbook.capture.gateway.budget_watch import BudgetWatch
    from tollbook.capture.gateway.client_state import ClientState
    from tollbook.capture.gateway.cost_report import Costs
    from tollbook.capture.gateway.exchange import Exchange
    from tollbook.capture.gateway.metrics_board import MetricsBoard
    from tollbook.capture.gateway.ports import FrameSink, Keys
    from tollbook.capture.gateway.routing.strategy import PriceOf
    from tollbook.capture.gateway.socket_session import SocketSession
    from tollbook.config import Config
    from tollbook.dialects.base import Dialect

logger = logging.getLogger(__name__)

_STRICT_CHECK_S: Final = 1.0
_DRAIN_CHECK_S: Final = 0.05
BACKLOG: Final = 2048


class Service:
    """Everything that the connections of one worker share."""

    def __init__(
        self,
        config: Config,
        *,
        spool: FrameSink,
        keys: Keys,
        dialect_named: Callable[[str], Dialect],
        environ: Mapping[str, str],
        worker: int = 0,
        wheel: Wheel | None = None,
        price_of: PriceOf | None = None,
        costs: Costs | None = None,
        budgets: BudgetWatch | None = None,
        board: MetricsBoard | None = None,
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.config = config
        self.worker = worker
        self.spool = spool
        self.turn = Turn(loop, spool)
        self.batches = Batches(config, self.turn)
        self.wheel = wheel or Wheel(loop)
        self.layer_work = LayerWork(
            self.wheel, is_on=config.gateway.layers, workers=config.gateway.workers
        )
        self.metrics = Metrics()
        self._board = board
        self._posting: asyncio.Future[object] | None = None
        self.costs = costs or NoCosts()
        self.guard: Guard | None = None if budgets is None else budgets.guard()
        """The budgets; None where there are none."""
        self.room: WaitingRoom | None = None
        """Calls that wait for room in them; None where none ever did."""
        self._budgets = budgets
        self.response_cache = ResponseCache(config.response_cache)
        self.metrics.cache = self.response_cache.outcomes
        self.known_heads = KnownHeads(config.gateway.max_inspected_body_bytes)
        self.exchanges: set[Exchange] = set()
        self.clients: set[ClientState] = set()
        self.sockets: set[SocketSession] = set()
        self.is_draining = False
        self._keys = keys
        self._synced_bytes = 0
        self._syncing: asyncio.Future[object] | None = None
        self._frames_lost = 0
        self._server: asyncio.Server | None = None
        self._once_a_second: asyncio.TimerHandle | None = None
        self._next_sync = 0.0
        secret = pseudonym_secret(config, environ)
        self.upstreams = {
            name.encode(): Upstream(
                loop,
                self.wheel,
                name,
                provider,
                dialect_named(provider.dialect),
                policy=config.gateway.client_disconnect,
                environ=environ,
                secret=secret,
            )
            for name, provider in config.providers.items()
        }
        self._signing = [u.signer for u in self.upstreams.values() if u.signer is not None]
        callers = Callers(keys, refuses_client_keys=config.gateway.client_keys == "refuse")
        self.router = Router(
            config,
            {upstream.name: upstream for upstream in self.upstreams.values()},
            dialect_named,
            price_of,
        )
        self.admission = Admission(config, self.upstreams, callers, self.router)

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self.layer_work.grant()  # to the connections, which begin in this context
        self._server = await self._loop.create_server(
            lambda: ClientConnection(self), sock=sock, backlog=BACKLOG
        )
        self.wheel.start()
        budgets = self._budgets
        if budgets is not None:
            self.wheel.each_tick(lambda _: budgets.tick(self))
        self._each_second()

    async def stop(self) -> None:
        """Stop accepting, let calls finish for the configured time, cut the rest, close all."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            if client.is_idle:
                client.transport.close()
        for session in list(self.sockets):
            session.drain()
        await self._calls_end()
        for client in list(self.clients):
            client.transport.abort()
        for upstream in self.upstreams.values():
            upstream.pool.close()
        for signer in self._signing:
            signer.close()
        await asyncio.sleep(0)
        self.wheel.stop()
        if self._once_a_second is not None:
            self._once_a_second.cancel()
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        self.turn.flush()
        self.spool.close()

    async def _calls_end(self) -> None:
        until = self._loop.time() + self.config.gateway.shutdown_timeout_s
        while (self.clients or self.exchanges or self.sockets) and self._loop.time() < until:  # noqa: ASYNC110 -- once
            await asyncio.sleep(_DRAIN_CHECK_S)
        if self.exchanges:
            logger.warning("%d calls did not end in time and are cut", len(self.exchanges))
        for exchange in list(self.exchanges):
            exchange.shut_down()
        for session in list(self.sockets):
            session.shut_down()
        self.turn.flush()
        if self._board is not None:
            self._board.publish(self._own_metrics())

    def answer_metrics(self) -> bytes:
        """Return the metrics of all workers; of this one only, where it knows no others."""
        own = self._own_metrics()
        return own if self._board is None else self._board.answer(own)

    def _own_metrics(self) -> bytes:
        upstreams = self.upstreams.values()
        text = self.metrics.text(self.spool.health, [(u.name, *u.pool.counts) for u in upstreams])
        text += key_metrics(upstreams)
        if self.guard is not None:
            text += self.guard.metrics()
        return text + target_metrics(self.router.targets(), self._loop.time())

    def _post_metrics(self) -> None:
        if self._board is None or (self._posting is not None and not self._posting.done()):
            return
        write = self._board.offer(self._own_metrics())
        if write is not None:
            self._posting = self._loop.run_in_executor(None, write)

    def take_guard(self, guard: Guard) -> None:
        """Have budgets from now on."""
        self.guard = guard

    def waiting_room(self, guard: Guard) -> WaitingRoom:
        """Return where calls wait for room in the budgets."""
        if self.room is None:
            self.room = room_of(guard)
        return self.room

    def report(self, error: BaseException) -> None:
        """Log a fault of the gateway itself; the connection it happened on is closed."""
        logger.error("a connection failed", exc_info=error)

    def _each_second(self) -> None:
        self._once_a_second = self._loop.call_later(_STRICT_CHECK_S, self._each_second)
        self._keys.refresh()
        for signer in self._signing:
            signer.tick()
        self.known_heads.forget()
        if self.guard is not None:
            self.guard.refresh()
        if not self.turn.is_on_file:
            self.turn.flush()
        self._post_metrics()
        health = self.spool.health
        if health.frames_lost > self._frames_lost:
            notice(
                logger, "lost", "FRAMES LOST: %d calls' frames are gone so far (%s)",
                health.frames_lost, health.error,
            )  # fmt: skip
            self._frames_lost = health.frames_lost
        elif not health.ok:
            notice(logger, "spool", "THE SPOOL CANNOT BE WRITTEN: %s", health.error)
        now = self._loop.time()
        is_dirty = health.bytes_written != self._synced_bytes
        if is_dirty and now >= self._next_sync and (self._syncing is None or self._syncing.done()):
            self._next_sync = now + self.config.spool.sync_interval_s - _STRICT_CHECK_S / 2
            self._synced_bytes = health.bytes_written
            self._syncing = self._loop.run_in_executor(None, self.spool.sync)
