"""A call without a tenant: raise, say once for each place, or only book it; always the place."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tollbook.call import Identity
from tollbook.sdk import missing
from tollbook.sdk.missing import MissingTenantError, check
from tollbook.sdk.runtime import configure, runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = Identity()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = runtime().missing_tenant
    missing._said.clear()
    yield
    configure(missing_tenant=before)


class Search:
    def answer(self) -> str | None:
        return check(NOBODY)


def test_a_known_tenant_needs_no_look() -> None:
    configure(missing_tenant="raise")
    assert check(Identity(tenant_id="acme")) is None


def test_the_place_is_the_applications_own_line() -> None:
    configure(missing_tenant="book")
    line = Search.answer.__code__.co_firstlineno + 1

    assert Search().answer() == f"tests/sdk_sinks/test_sdk_sinks_missing.py:{line} Search.answer"


def test_libraries_between_the_application_and_the_call_are_passed_over() -> None:
    configure(missing_tenant="book")

    async def inner() -> str | None:
        return await asyncio.wait_for(asyncio.shield(_leaf()), 5)

    async def _leaf() -> str | None:
        return check(NOBODY)

    found = asyncio.run(inner())
    assert found is not None
    assert found.endswith("_leaf")
    # sorted() is C and its key a function of the standard library: neither is the application's
    import functools  # noqa: PLC0415 -- part of what is looked at

    place = functools.partial(missing.call_site)()
    assert place.startswith("tests/sdk_sinks/test_sdk_sinks_missing.py:")


def test_a_call_made_by_libraries_alone_has_the_nearest_of_them() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: None)
    thread.run = lambda: found.append(missing.call_site())  # type: ignore[method-assign]
    thread.start()
    thread.join()
    assert "test_sdk_sinks_missing" in found[0]

    class Timer(threading.Timer):
        pass

    timer = Timer(0, missing.call_site)
    timer.function = lambda *_: found.append(None)
    code = compile(
        "import tollbook.sdk.missing as m\nout.append(m.call_site())", "<frozen x>", "exec"
    )
    exec(code, {"out": found})
    assert found[-1].startswith("tests/sdk_sinks/")


def test_raise_names_the_place_and_the_fix() -> None:
    configure(missing_tenant="raise")
    with pytest.raises(MissingTenantError) as raised:
        Search().answer()
    assert "Search.answer" in raised.value.message
    assert "with tollbook.tenant(...)" in raised.value.message
    assert "\n" not in raised.value.message


def test_log_is_one_error_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    configure(missing_tenant="log")
    for _ in range(3):
        Search().answer()
    check(NOBODY)

    assert [one.levelno for one in caplog.records] == [logging.ERROR] * 2
    assert {one.name for one in caplog.records} == {"tollbook"}


def test_book_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    configure(missing_tenant="book")
    assert Search().answer()
    assert check(Identity(tenant_id="unknown")) is not None
    assert caplog.records == []


def test_two_functions_that_look_the_same_in_two_files_are_two_places() -> None:
    configure(missing_tenant="book")
    source = "def f():\n    return check(nobody)\n"
    places = set()
    for name in ("one.py", "two.py"):
        space = {"check": check, "nobody": NOBODY}
        exec(compile(source, name, "exec"), space)
        places.add(space["f"]())  # type: ignore[operator]
    assert places == {"one.py:2 f", "two.py:2 f"}


def test_a_path_with_a_control_character_stays_printable() -> None:
    space = {"call_site": missing.call_site}
    exec(compile("def f():\n    return call_site()\n", "a\nb.py", "exec"), space)
    assert space["f"]().isprintable()
