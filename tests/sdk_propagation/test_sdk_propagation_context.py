"""Scopes: what is set is there, for whom it was set, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import attach, detach

from tollbook import sdk as tollbook
from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.sdk.context import NOBODY, Scope, with_identity
from tollbook.sdk.given import InvalidIdentityError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def who() -> str | None:
    return tollbook.current().tenant_id


def test_nested_scopes_add_to_each_other_and_end() -> None:
    assert tollbook.current() is NOBODY
    with tollbook.tenant("acme", user="ada"):
        with tollbook.feature("search"), tollbook.tenant("other"):
            known = tollbook.current()
            assert (known.tenant_id, known.user_id, known.feature) == ("other", "ada", "search")
            assert known.sources["tenant_id"] == "sdk"
        assert tollbook.current().feature is None
        assert who() == "acme"
    assert tollbook.current() is NOBODY


def test_every_field_travels_in_opentelemetrys_baggage() -> None:
    fields = dict.fromkeys(IDENTITY_FIELDS, "x") | {"request_origin": "system"}
    with Scope(fields):
        members = baggage.get_all()
        assert members["tenant.id"] == "x"
        assert members["agent.run.id"] == "x"
        assert members["request.origin"] == "system"
        assert len(members) == len(IDENTITY_FIELDS)
    assert not baggage.get_all()


def test_what_a_framework_restored_into_baggage_counts_where_nothing_was_set() -> None:
    context = baggage.set_baggage("tenant.id", "acme")
    context = baggage.set_baggage("request.origin", "the moon", context)
    context = baggage.set_baggage("user.id", '{"no": "id"}', context)
    known = tollbook.current(context)
    assert (known.tenant_id, known.user_id, known.request_origin) == ("acme", None, None)
    assert known.sources == {"tenant_id": "baggage"}


def test_an_identity_replaces_the_baggage_that_was_there() -> None:
    context = baggage.set_baggage("tenant.id", "forged")
    context = baggage.set_baggage("other", "kept", context)
    members = baggage.get_all(with_identity(Identity(user_id="ada"), context))
    assert dict(members) == {"other": "kept", "user.id": "ada"}


def test_databases_ids_are_ids() -> None:
    some = uuid.uuid4()
    with tollbook.tenant(7, user=some):
        assert (tollbook.current().tenant_id, tollbook.current().user_id) == ("7", str(some))


@pytest.mark.parametrize("bad", ['{"a": 1}', "", "x" * 129, "a,b", "\x00", object(), True, b"acme"])
def test_what_is_no_id_becomes_unknown_and_is_said_once(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tollbook")
    with tollbook.tenant("outer"):
        for _ in range(3):
            with tollbook.tenant(bad) as known:
                # Certainly not the outer tenant's.
                assert known.tenant_id is None
                assert known.problems[0].startswith("tenant_id ")
        assert who() == "outer"
    assert len(caplog.records) == 1
    if isinstance(bad, str) and len(bad) > 3:
        assert bad not in caplog.text


def test_what_is_no_id_raises_only_in_tests() -> None:
    tollbook.configure(missing_tenant="raise")
    with pytest.raises(InvalidIdentityError, match="tenant_id"), tollbook.tenant("a,b"):
        pass
    assert tollbook.current() is NOBODY


def test_tags_have_a_bound() -> None:
    with (
        tollbook.scope(tags={f"a{n}": "x" for n in range(20)}),
        tollbook.scope(tags={f"b{n}": "x" for n in range(20)}) as known,
    ):
        assert len(known.tags) == 32
        assert any("over 32 tags" in one for one in known.problems)


@given(
    st.dictionaries(
        st.text(max_size=20), st.text(max_size=20) | st.integers() | st.none(), max_size=4
    )
)
@settings(max_examples=40)
def test_no_fields_and_tags_whatever_raise(tags: dict[Any, Any]) -> None:
    for value in tags.values():
        with tollbook.tenant(value, tags=tags) as known:
            assert known.tenant_id is None or known.tenant_id.strip() == known.tenant_id
    assert tollbook.current() is NOBODY


def test_a_scope_object_may_be_used_by_many_threads_and_again_within_itself() -> None:
    shared = tollbook.tenant("acme")
    found: list[str | None] = []
    inside = threading.Barrier(4)

    def work() -> None:
        with shared:
            inside.wait(10)
            with shared, tollbook.feature("x"):
                pass
            found.append(who())
            inside.wait(10)
        found.append(who())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(map(str, found)) == ["None"] * 4 + ["acme"] * 4


def test_a_scope_object_may_be_used_by_many_tasks() -> None:
    shared = tollbook.tenant("acme")

    async def work(wait_s: float) -> tuple[str | None, str | None]:
        async with shared:
            await asyncio.sleep(wait_s)
            inside = who()
        return inside, who()

    async def main() -> list[tuple[str | None, str | None]]:
        return await asyncio.gather(*(work(0.03 - n * 0.01) for n in range(3)))

    assert asyncio.run(main()) == [("acme", None)] * 3


def test_leaving_in_another_context_than_it_was_entered_in_harms_nobody() -> None:
    left = tollbook.tenant("acme")
    contextvars.copy_context().run(left.__enter__)
    with tollbook.tenant("other"):
        left.__exit__(None, None, None)
        assert who() == "other"


def test_a_scope_takes_back_what_others_attached_in_it_and_forgot() -> None:
    with tollbook.tenant("acme"):
        attach(baggage.set_baggage("tenant.id", "stuck"))
    assert who() is None
    assert not baggage.get_all()


def test_decorators_of_plain_and_coroutine_functions() -> None:
    @tollbook.tenant("acme")
    def plain(value: int) -> tuple[int, str | None]:
        """Say."""
        return value, who()

    @tollbook.tenant("acme")
    async def later(value: int) -> tuple[int, str | None]:
        await asyncio.sleep(0)
        return value, who()

    assert plain(1) == (1, "acme")
    assert (plain.__name__, plain.__doc__) == ("plain", "Say.")
    assert asyncio.run(later(2)) == (2, "acme")
    assert who() is None


def test_an_error_within_passes_and_the_scope_ends() -> None:
    @tollbook.tenant("acme")
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        fails()
    assert who() is None


def test_a_generator_keeps_its_identity_and_gives_none_to_its_consumer() -> None:
    @tollbook.tenant("acme")
    def steps() -> Iterator[tuple[str | None, str | None]]:
        with tollbook.feature("inner"):
            for _ in range(3):
                yield who(), tollbook.current().feature

    with tollbook.tenant("consumer"):
        made = steps()
        for step in made:
            assert step == ("acme", "inner")
            assert (who(), tollbook.current().feature) == ("consumer", None)
        assert who() == "consumer"


def test_two_generators_taken_in_turns_do_not_mix() -> None:
    def make(tenant: str) -> Iterator[str | None]:
        @tollbook.tenant(tenant)
        def steps() -> Iterator[str | None]:
            for _ in range(3):
                yield who()

        return steps()

    assert list(zip(make("a"), make("b"), strict=True)) == [("a", "b")] * 3
    assert who() is None


def test_a_generator_is_sent_to_thrown_into_and_closed() -> None:
    seen: list[Any] = []

    @tollbook.tenant("acme")
    def steps() -> Any:
        try:
            seen.append((yield 1))
            try:
                yield 2
            except ValueError:
                seen.append(who())
                yield 3
            return "done"
        finally:
            seen.append(("closed", who()))

    made = steps()
    assert next(made) == 1
    assert made.send("x") == 2
    assert made.throw(ValueError()) == 3
    with pytest.raises(StopIteration) as stop:
        next(made)
    assert stop.value.value == "done"
    assert seen == ["x", "acme", ("closed", "acme")]
    other = steps()
    next(other)
    other.close()
    assert seen[-1] == ("closed", "acme")
    assert who() is None


def test_an_asynchronous_generator_does_not_leak_between_steps_or_after_it_was_dropped() -> None:
    @tollbook.tenant("acme")
    async def steps() -> AsyncIterator[str | None]:
        with tollbook.feature("inner"):
            for _ in range(3):
                await asyncio.sleep(0.001)
                yield who()

    async def main() -> None:
        with tollbook.tenant("consumer"):
            async for step in steps():
                assert step == "acme"
                assert (who(), tollbook.current().feature) == ("consumer", None)
            dropped = steps()
            assert await anext(dropped) == "acme"
            assert who() == "consumer"
            # Closed by another task than the one that began it, as servers do.
            await asyncio.create_task(dropped.aclose())  # type: ignore[attr-defined]
            assert who() == "consumer"
        assert who() is None

    asyncio.run(main())


def test_an_asynchronous_generator_is_cancelled_while_it_waits() -> None:
    ended: list[str | None] = []

    @tollbook.tenant("acme")
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
            yield 2
        finally:
            ended.append(who())

    async def main() -> None:
        made = steps()
        assert await anext(made) == 1
        task: asyncio.Task[Any] = asyncio.create_task(anext(made))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert who() is None

    asyncio.run(main())
    assert ended == ["acme"]


def test_a_thrown_error_reaches_an_asynchronous_generator() -> None:
    @tollbook.tenant("acme")
    async def steps() -> Any:
        try:
            got = yield who()
            yield got
        except ValueError:
            await asyncio.sleep(0)
            yield who()

    async def main() -> None:
        made = steps()
        assert await made.asend(None) == "acme"
        assert await made.asend("x") == "x"
        assert await made.athrow(ValueError()) == "acme"
        with pytest.raises(StopAsyncIteration):
            await made.asend(None)

    asyncio.run(main())


def test_tasks_keep_the_identity_they_were_created_with() -> None:
    async def say() -> str | None:
        await asyncio.sleep(0.001)
        return who()

    async def main() -> None:
        with tollbook.tenant("a"):
            first = asyncio.create_task(say())
            in_thread = asyncio.create_task(asyncio.to_thread(who))
        with tollbook.tenant("b"):
            second = asyncio.create_task(say())
        assert [await first, await in_thread, await second] == ["a", "a", "b"]

    asyncio.run(main())


def test_use_takes_nothing_from_outside() -> None:
    with tollbook.tenant("acme", user="ada"), tollbook.use(Identity(tenant_id="other")) as known:
        assert (known.tenant_id, known.user_id) == ("other", None)
        assert "user.id" not in baggage.get_all()


def test_an_attached_context_without_ours_is_left_as_it_was() -> None:
    token = attach(baggage.set_baggage("mine", "1"))
    try:
        with tollbook.tenant("acme"):
            assert baggage.get_baggage("mine") == "1"
        assert dict(baggage.get_all()) == {"mine": "1"}
    finally:
        detach(token)
