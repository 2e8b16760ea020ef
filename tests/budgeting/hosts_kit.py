"""Hosts that share limits through a real Valkey or Redis: a table, a guard and an agent each."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import msgspec
import redis
from tests.budgets.kit import Cost, call, closed_of, rules_of, table_in

from tollbook.budgets.guard import Guard, Hold, Refused
from tollbook.budgets.leases import Authority, LeaseAgent
from tollbook.budgets.table import BudgetTable
from tollbook.call import CallClosed, CallOpened, Identity
from tollbook.config.budgets_shared import BudgetsShared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tollbook.budgets.rules import Rule

_HOUR_S = 3600
_REAL_S = int(time.time())
NOW_S = _REAL_S if _REAL_S % 86_400 < 86_400 - _HOUR_S else _REAL_S + _HOUR_S
"""Now, but not in the last hour of a window: keys there end by the server's own clock."""


class ByCall:
    """Prices that a test writes into the frames: the worst before, what it came to after."""

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost:
        return Cost(closed.output_chars if closed.http_status else opened.input_chars, ())


class Valkey:
    """A server of its own, that can be killed and started again without memory."""

    def __init__(self) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        assert program is not None, "redis-server or valkey-server is needed"
        self._program = program
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--save", "", "--appendonly", "no",
             "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with redis.Redis.from_url(self.url) as client:
            for _ in range(400):
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


class Host:
    """One host, whose agent steps when the test says so."""

    def __init__(
        self, root: Path, name: str, valkey: Valkey, rules: Sequence[Rule], **settings: Any
    ) -> None:
        self.name, self.now_s, self.monotonic_s = name, NOW_S, 0.0
        self.root = root / name
        self.root.mkdir()
        self.rules = rules
        self.path = table_in(self.root)
        self.settings = msgspec.convert(
            {"lost_after_s": 1, "interval_s": 0.005} | settings, BudgetsShared
        )
        self.client = redis.Redis.from_url(
            valkey.url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2
        )
        self.guard = Guard(rules, self.path, name, ByCall(), lambda: self.now_s, is_shared=True)
        self.agent = self._agent()

    def _agent(self, peers: Sequence[str] = ()) -> LeaseAgent:
        authority = Authority(self.client, "test", self.name, self.settings)
        return LeaseAgent(
            authority, self.path, self.settings, lambda: self.now_s, lambda: self.monotonic_s,
            (redis.RedisError, OSError), peers,
        )  # fmt: skip

    def restart(self) -> None:
        """Let the agent die, and another one begin with what the file says."""
        peers = self.agent.peers
        self.agent.close()
        self.agent = self._agent(peers)

    def step(self, seconds: float = 0.05) -> None:
        self.monotonic_s += seconds
        self.agent.step()

    def admit(
        self, amount: int, tenant: str = "acme"
    ) -> tuple[CallOpened, tuple[Hold, ...]] | Refused:
        opened = call(identity=Identity(tenant_id=tenant), input_chars=amount)
        found = self.guard.admit(opened, is_next=True)
        return found if isinstance(found, Refused) else (opened, found)

    def settle(self, one: tuple[CallOpened, tuple[Hold, ...]], came_to: int) -> None:
        opened, holds = one
        self.guard.settle(holds, opened, closed_of(opened, http_status=200, output_chars=came_to))

    def table(self) -> BudgetTable:
        return BudgetTable(self.path)

    def taken(self) -> tuple[int, int]:
        """Spent and held, of all owners."""
        table, spent, held = self.table(), 0, 0
        with table.locked():
            for slot in table.used():
                standing = table.standing(slot)
                spent, held = spent + standing.spent, held + standing.held
        table.close()
        return spent, held

    def granted(self) -> int:
        table, granted = self.table(), 0
        with table.locked():
            granted = sum(table.granted(slot) or 0 for slot in table.used())
        table.close()
        return granted

    def close(self) -> None:
        self.agent.close()
        self.guard.close()
        self.client.close()


def rule(limit: int, **fields: Any) -> tuple[Rule, ...]:
    """Return one rule of so many pico."""
    return rules_of(**({"limit_usd": f"{limit}E-12", "window": "day"} | fields))
