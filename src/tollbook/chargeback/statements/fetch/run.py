"""Fetch what a provider says of the days that are new, and of those that it may have revised."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import clock
from tollbook.chargeback.statements.errors import FetchError
from tollbook.chargeback.statements.fetch.feeds import (
    anthropic_feeds,
    openai_feeds,
    openrouter_feeds,
)
from tollbook.chargeback.statements.fetch.feeds_cloud import (
    aws_feeds,
    azure_feeds,
    bigquery_feeds,
)
from tollbook.chargeback.statements.fetch.http import ApiClient, Limits
from tollbook.chargeback.statements.fetch.paging import pages
from tollbook.chargeback.statements.fetch.sources import resolve
from tollbook.chargeback.statements.fetch.watermarks import set_watermark, watermarks
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.moments import DAY_NS, day_span, month_span
from tollbook.config.statements import FetchSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tollbook.books.store import Books
    from tollbook.chargeback.statements.fetch.feeds import Feed
    from tollbook.chargeback.statements.fetch.sources import Resolved
    from tollbook.chargeback.statements.importer import Imported
    from tollbook.chargeback.statements.model import Statement
    from tollbook.config.statements import Statements

_FEEDS: Final = {
    "openai": openai_feeds,
    "anthropic": anthropic_feeds,
    "openrouter": openrouter_feeds,
    "azure": azure_feeds,
    "bigquery": bigquery_feeds,
}


class Wanted(NamedTuple):
    """Which days are fetched; None is what is new, and what may have been revised."""

    since_ns: int | None = None
    until_ns: int | None = None


def fetch_statements(
    books: Books, name: str, settings: Statements, environ: Mapping[str, str], *,
    wanted: Wanted = Wanted(),  # noqa: B008 -- a constant
    author: str | None = None,
    sleep: Callable[[float], None] | None = None,
) -> Iterator[Statement]:  # fmt: skip
    """Fetch and keep a provider's statements, oldest first, and yield each once it is kept.

    A pull that is cut off goes on at the first stretch that is not there.

    Args:
        books: where they are kept.
        name: of the provider or of its ``[statements.fetch.NAME]``.
        settings: ``[statements]``.
        environ: where keys are.
        wanted: which days.
        author: who fetches.
        sleep: waits for seconds, for tests.

    Raises:
        FetchError: no key, asked too soon, or no answer.
        BooksError: the books cannot be written.
    """
    source = resolve(name, settings, FetchSource())
    now_ns = clock.unix_ns()
    account = source.settings.account
    seen = watermarks(books, source.provider, account)
    last_ns = max((one.at_ns for one in seen.values()), default=0)
    wait_s = source.interval_s - (now_ns - last_ns) // clock.NS_PER_S
    if last_ns and wait_s > 0:
        raise FetchError(
            name, f"was asked a moment ago, and is asked at most every {source.interval_s:.0f} s; "
            f"try again in {wait_s:.0f} s",
        )  # fmt: skip
    limits = Limits(settings.timeout_s, settings.total_timeout_s, settings.max_page_bytes)
    extra: dict[str, Any] = {} if sleep is None else {"sleep": sleep}
    feeds_of = _feeds(source, environ)
    with ApiClient(name, limits, **extra) as client:
        start_ns, end_ns = _range(source, wanted, now_ns)
        for span in _chunks(source, start_ns, end_ns):
            for feed in feeds_of(span):
                mark = seen.get((feed.form, feed.scope))
                settled_ns = 0 if mark is None else mark.until_ns - source.window_days * DAY_NS
                if wanted.since_ns is None and span[1] <= settled_ns:
                    continue  # it is final, and here
                client.begin()
                is_final = span[1] + source.window_days * DAY_NS <= now_ns
                kept = _pull(books, client, feed, source, span, author=author, is_final=is_final)
                set_watermark(
                    books, source.provider, account, feed.form, feed.scope, min(span[1], end_ns)
                )
                for one in kept:
                    yield one.statement


def _pull(
    books: Books, client: ApiClient, feed: Feed, source: Resolved, span: tuple[int, int], *,
    author: str | None, is_final: bool,
) -> list[Imported]:  # fmt: skip
    """Fetch one feed of one stretch into a file, and keep it."""
    with TemporaryDirectory(prefix="tollbook-fetch-") as directory:
        path = Path(directory) / "pages.jsonl"
        with path.open("wb") as file:
            for page in pages(client, feed.first, feed.token_of):
                file.write(page + b"\n")
        how = How(
            provider=source.provider, account=source.settings.account, form=feed.form,
            is_final=is_final, fetched_at_ns=clock.unix_ns(), span=span, scope=feed.scope,
            source=feed.source, received_by=author, file_name=f"{source.provider} API",
        )  # fmt: skip
        return import_file(books, path, how)


def _range(source: Resolved, wanted: Wanted, now_ns: int) -> tuple[int, int]:
    """Return the first and the last moment that are of interest."""
    today_ns = day_span(now_ns)[0]
    end_ns = today_ns
    if wanted.until_ns is not None:
        latest_ns = day_span(now_ns)[1] if source.has_now else today_ns
        end_ns = min(-(-wanted.until_ns // DAY_NS) * DAY_NS, latest_ns)
    first_ns = today_ns - source.first_days * DAY_NS
    if wanted.since_ns is not None:
        first_ns = day_span(wanted.since_ns)[0]
    if source.chunk == "day" and source.api == "openrouter":
        first_ns = max(first_ns, today_ns - 30 * DAY_NS)  # older days are refused
    return first_ns, end_ns


def _chunks(source: Resolved, start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """Yield whole days or calendar months, the last one up to the end.

    Months begin at their first day whatever was asked for: a statement of half a month would take
    the place of that half of one that is there, and no more could be known to be whole.
    """
    at_ns = start_ns if source.chunk == "day" else month_span(start_ns)[0]
    while at_ns < end_ns:
        until_ns = day_span(at_ns)[1] if source.chunk == "day" else month_span(at_ns)[1]
        is_whole_month = source.api == "bigquery"  # asked for by invoice month
        yield at_ns, until_ns if is_whole_month else min(until_ns, end_ns)
        at_ns = until_ns


def _feeds(source: Resolved, environ: Mapping[str, str]) -> Callable[[tuple[int, int]], list[Feed]]:
    if source.api == "aws":
        from tollbook.capture.gateway.credentials.aws import (  # noqa: PLC0415 -- loads much
            AwsReader,
        )
        from tollbook.capture.gateway.credentials.readers import Found  # noqa: PLC0415 -- as above

        read = AwsReader(None, "us-east-1").read(is_refused=False)
        if not isinstance(read, Found):
            problem = "no AWS credentials" if read is None else read.problem
            raise FetchError(source.provider, problem)
        key = read.value.key
        return lambda span: aws_feeds(source.base_url, key, span)
    token = _token(source, environ)
    make = _FEEDS[source.api]
    return lambda span: make(source.settings, source.base_url, token, span)


def _token(source: Resolved, environ: Mapping[str, str]) -> str:
    token = environ.get(source.key_env or "", "").strip()
    if token:
        return token
    if source.api == "bigquery":
        from tollbook.capture.gateway.credentials.google import (  # noqa: PLC0415 -- loads much
            GoogleReader,
        )
        from tollbook.capture.gateway.credentials.readers import Found  # noqa: PLC0415 -- as above

        read = GoogleReader(None).read(is_refused=False)
        if isinstance(read, Found):
            return str(read.value)
        problem = "no token" if read is None else read.problem
        raise FetchError(source.provider, f"{source.key_env} is not set, and {problem}")
    raise FetchError(
        source.provider,
        f"{source.key_env} is not set; it takes a key for administrators, not one for calls",
    )
