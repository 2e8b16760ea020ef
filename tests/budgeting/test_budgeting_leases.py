"""Several hosts on one limit: never more than it, and no refusal while another host can return."""

from __future__ import annotations

import random
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis
from tests.budgeting.hosts_kit import NOW_S, Host, Valkey, rule

from tollbook.budgets.guard import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_QUICK = 8
HUGE = 90_000_000 * 10**12
"""Ninety million dollars: more than a Lua number or 64 bits hold exactly."""


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    made = Valkey()
    yield made
    made.kill()


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    server.empty()
    return server


@contextmanager
def hosts(
    root: Path, valkey: Valkey, limit: int, count: int = 2, *, fields: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[list[Host]]:  # fmt: skip
    rules = rule(limit, **(fields or {}))
    made = [Host(root, f"host-{number}", valkey, rules, **settings) for number in range(count)]
    yield made
    for one in made:
        one.close()


def _get(host: Host, amount: int, others: list[Host], rounds: int = 20) -> Any:
    """Admit a call that waits as the gateway lets it, while all agents look in turn."""
    found = host.admit(amount)
    for number in range(rounds):
        if not isinstance(found, Refused) or not found.wait_s:
            break
        if number > _QUICK:
            time.sleep(0.01)  # who stands in line and waits no longer is forgotten
        for one in (host, *others):
            one.step()
        found = host.admit(amount)
    return found


def test_a_host_gets_what_it_needs_and_some_in_advance(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, 1000, chunk_percent=10) as (first, second):
        assert isinstance(first.admit(30), Refused)
        first.step()
        assert first.granted() == 130
        assert not isinstance(first.admit(30), Refused)
        assert not isinstance(first.admit(100), Refused)
        assert isinstance(first.admit(1), Refused)
        assert second.granted() == 0


def test_what_another_host_does_not_use_comes_back(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, 100, chunk_percent=50) as (first, second):
        one = _get(first, 40, [second])
        assert first.granted() == 90
        first.settle(one, 10)
        two = _get(second, 90, [first])
        assert not isinstance(two, Refused), two
        assert (first.granted(), second.granted()) == (10, 90)
        refused = _get(first, 1, [second])
        assert isinstance(refused, Refused)
        second.settle(two, 60)
        three = _get(first, 30, [second])
        assert not isinstance(three, Refused), three
        first.settle(three, 30)
        refused = _get(first, 1, [second])
        assert isinstance(refused, Refused)
        assert not refused.wait_s, "the limit is spent: waiting is of no use"
        assert "is used up" in refused.reason


def test_amounts_are_exact_however_large(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, HUGE + 7, chunk_percent=0) as (first, second):
        first_part = 2**55 + 1  # a call holds at most 2**56
        one = _get(first, first_part, [second])
        assert first.granted() == first_part
        first.settle(one, HUGE // 2 + 3)
        first.step(2)
        second.step(2)
        _get(second, 5, [first])
        table = second.table()
        with table.locked():
            (slot,) = table.used()
            assert table.elsewhere(slot) == HUGE // 2 + 3
        table.close()


def test_no_host_gets_pieces_that_are_of_no_use(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, 100, 3, chunk_percent=0) as (first, second, third):
        both = [_get(first, 60, [second, third], rounds=1), second.admit(60)]
        second.step()
        assert not isinstance(both[0], Refused)
        assert isinstance(second.admit(60), Refused)
        assert second.granted() == 0
        # The second stands in line; what is free goes to it first, not to who came later.
        assert isinstance(third.admit(40), Refused)
        third.step()
        assert third.granted() == 0
        first.settle(both[0], 0)
        found = _get(second, 60, [first])
        assert not isinstance(found, Refused), found


def test_a_restarted_agent_and_a_table_made_anew_lose_nothing(
    tmp_path: Path, valkey: Valkey
) -> None:
    with hosts(tmp_path, valkey, 100, chunk_percent=20) as (first, second):
        one = _get(first, 30, [second])
        first.settle(one, 30)
        assert first.granted() == 50
        first.restart()
        first.step()
        assert first.granted() == 50
        assert not isinstance(_get(second, 50, [first], rounds=1), Refused)
        assert second.granted() == 50
        first.restart()
        # As the ledger makes it: what is booked, and no grants.
        fresh = Host(tmp_path, "fresh", valkey, first.rules)
        fresh.close()
        table = fresh.table()
        hold = first.rules[0].key((), first.rules[0].span(NOW_S).start_s)
        with table.locked():
            slot = table.find(hold, first.rules[0].span(NOW_S).end_s, NOW_S)
            assert slot is not None
            table.set_base(slot, 30)
        table.close()
        fresh.path.rename(first.path)
        first.guard.refresh()
        first.step()
        assert first.granted() == 30
        assert isinstance(_get(second, 30, [first]), Refused)
        assert not isinstance(_get(first, 20, [second]), Refused)
        assert first.granted() + second.granted() == 100


def test_what_was_booked_beyond_a_grant_counts_against_all(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, 100, chunk_percent=0) as (first, second):
        one = _get(first, 10, [second])
        first.settle(one, 80)  # dearer than it could be: an estimate that was too low
        first.step(2)
        assert first.granted() == 80
        refused = _get(second, 30, [first])
        assert isinstance(refused, Refused)
        assert not refused.wait_s
        assert not isinstance(_get(second, 20, [first]), Refused)


def test_a_top_up_and_a_lower_limit_reach_all_hosts(tmp_path: Path, valkey: Valkey) -> None:
    with hosts(tmp_path, valkey, 100, chunk_percent=0) as (first, second):
        one = _get(first, 100, [second])
        first.settle(one, 100)
        first.step(2)
        assert isinstance(_get(second, 10, [first]), Refused)
        for host in (first, second):
            host.guard.set_rules(rule(150), is_shared=True)
        two = _get(second, 50, [first])
        assert not isinstance(two, Refused), two
        second.settle(two, 20)
        for host in (first, second):
            host.guard.set_rules(rule(110), is_shared=True)
        refused = _get(second, 10, [first])
        assert isinstance(refused, Refused)
        assert not refused.wait_s


def test_valkey_without_its_memory_grants_nothing_until_all_have_told(
    tmp_path: Path, valkey: Valkey
) -> None:
    with hosts(tmp_path, valkey, 100, chunk_percent=0, lost_after_s=600) as (first, second):
        one = _get(first, 70, [second])
        assert not isinstance(one, Refused)
        assert not isinstance(_get(second, 10, [first]), Refused)
        for host in (first, second):
            host.step()
        valkey.empty()
        refused = second.admit(90)
        second.step()  # it alone has told: it knows that there is another
        assert second.granted() == 10
        for _ in range(3):
            refused = second.admit(30)
            second.step()
        assert isinstance(refused, Refused)
        assert second.granted() == 10
        first.step()
        refused = second.admit(20)
        second.step()
        assert second.granted() == 30
        assert first.granted() == 70


def test_valkey_down_what_is_granted_is_used_and_no_more(tmp_path: Path) -> None:
    valkey = Valkey()
    try:
        with hosts(tmp_path, valkey, 100, chunk_percent=10) as (first, second):
            _get(first, 10, [second])
            valkey.kill()
            assert not isinstance(first.admit(5), Refused)
            refused = first.admit(50)
            assert isinstance(refused, Refused)
            assert refused.wait_s, "it may be back in a moment"
            first.step(0.5)
            first.step(1.0)
            refused = first.admit(50)
            assert isinstance(refused, Refused)
            assert refused.is_unavailable
            assert not isinstance(first.admit(5), Refused)
            valkey.start()
            first.step()
            first.step()
            assert not isinstance(_get(first, 50, []), Refused)
            assert first.granted() <= 100
    finally:
        valkey.kill()


def test_valkey_down_and_allowed_each_host_has_the_limit_for_itself(tmp_path: Path) -> None:
    valkey = Valkey()
    try:
        with hosts(tmp_path, valkey, 100, when_down="allow") as (first, second):
            first.step()
            second.step()
            valkey.kill()
            for host in (first, second):
                assert isinstance(host.admit(80), Refused)
                host.step(0.5)
                host.step(1.0)
                one = host.admit(80)
                assert not isinstance(one, Refused), one
                host.settle(one, 80)
                assert isinstance(host.admit(30), Refused)
            valkey.start()
            for host in (first, second, first, second):
                host.step(2)
            # Both have spent together more than the limit: nobody gets anything more.
            assert [host.granted() for host in (first, second)] == [80, 80]
            for host in (first, second):
                assert isinstance(_get(host, 1, [first, second]), Refused)
    finally:
        valkey.kill()


@pytest.mark.parametrize("fields", [{"rolling": True}, {"limit_usd": None, "limit_concurrent": 6}])
def test_windows_that_move_are_shared_too(
    tmp_path: Path, valkey: Valkey, fields: dict[str, Any]
) -> None:
    with hosts(tmp_path, valkey, 6, fields=fields, chunk_percent=0) as (first, second):
        under_way = [_get(host, 1, [first, second]) for host in (first, second) * 3]
        assert not any(isinstance(one, Refused) for one in under_way)
        assert isinstance(_get(first, 1, [second]), Refused)
        for host, one in zip((first, second) * 3, under_way, strict=True):
            host.settle(one, 1)
        for host in (first, second):
            host.now_s += 86_400 * 61 // 60
            host.step(2)
        assert not isinstance(_get(second, 6 if "rolling" in fields else 1, [first]), Refused)


@pytest.mark.parametrize("kind", ["calendar", "rolling"])
def test_simulation_never_more_than_the_limit_and_no_false_refusal(
    tmp_path: Path, kind: str
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    limit = chance.choice([300, 1000, 5000])
    valkey = Valkey()
    fields = {"rolling": True} if kind == "rolling" else {}
    try:
        with hosts(
            tmp_path, valkey, limit, 3, fields=fields, chunk_percent=chance.choice([0, 5, 25]),
            lost_after_s=600,
        ) as made:  # fmt: skip
            under_way: list[tuple[Host, Any, int]] = []
            is_up = True
            for host in made:
                host.step()
            for _ in range(250):
                host = chance.choice(made)
                what = chance.random()
                if what < 0.45:
                    amount = chance.randint(1, limit // 10)
                    found = _get(host, amount, made) if is_up else host.admit(amount)
                    if not isinstance(found, Refused):
                        under_way.append((host, found, amount))
                    elif is_up:
                        spent, held = _everything(made)
                        assert spent + held + amount > limit, (spent, held, amount, found)
                elif what < 0.85 and under_way:
                    owner, one, amount = under_way.pop(chance.randrange(len(under_way)))
                    owner.settle(one, chance.randint(0, amount))
                elif what < 0.9:
                    host.restart()
                elif what < 0.93:
                    is_up = not is_up
                    if is_up:
                        valkey.start()
                        for _ in range(3):
                            for one_host in made:
                                one_host.step()
                    else:
                        valkey.kill()
                else:
                    host.step(chance.choice([0.05, 2]))
                spent, held = _everything(made)
                assert spent + held <= limit
            if not is_up:
                valkey.start()
    finally:
        valkey.kill()


def _everything(made: list[Host]) -> tuple[int, int]:
    taken = [host.taken() for host in made]
    return sum(spent for spent, _ in taken), sum(held for _, held in taken)


def test_the_server_is_real(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.info("server")["tcp_port"] == valkey.port
