"""The audit: inputs in, report out, in memory that does not grow with the input."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tollbook import __version__, clock
from tollbook.audit.extract import Extractor
from tollbook.audit.facts import SpanFact, decode_fact, encode_fact
from tollbook.audit.grouping import Grouping
from tollbook.audit.hash_key import names_mark
from tollbook.audit.parts import parts_of
from tollbook.audit.places import with_places
from tollbook.audit.read import Trouble
from tollbook.audit.report import Audit
from tollbook.audit.rules.base import Expectant, Holder, JoinRule, WholeRule
from tollbook.audit.rules.metrics_only import metrics_only
from tollbook.audit.rules.registry import rules_of
from tollbook.audit.scoring import AwaitsCauses, Found, Scoring
from tollbook.audit.settings import DEFAULT
from tollbook.audit.tally import Tally
from tollbook.audit.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tollbook.audit.findings import Hit
    from tollbook.audit.read import Input, InputRead
    from tollbook.audit.rules.base import TraceRule
    from tollbook.audit.scoring import CallScore
    from tollbook.audit.settings import AuditSettings

    AnyRule = TraceRule | JoinRule | WholeRule

_TROUBLES_MAX: Final = 100
_COLLECTED_AFTER: Final = 200_000
"""Objects that are made, more than are let go."""


class Pricer(Protocol):
    """Knows what a call cost."""

    words: str
    """Which prices, for the report."""

    def price(self, fact: SpanFact) -> SpanFact:
        """Return it with the cost of its call, or with why there is none."""


class Progress(Protocol):
    """Is told how far it is, now and then."""

    def reading(self, read: InputRead) -> None:
        """Tell that so much of an input was read."""

    def judging(self, done_traces: int) -> None:
        """Tell that so many traces were looked at."""


class _Silent:
    """Nobody looks."""

    def reading(self, read: InputRead) -> None:
        """Say nothing."""

    def judging(self, done_traces: int) -> None:
        """Say nothing."""


def audit(
    inputs: Iterable[Input],
    pricer: Pricer,
    settings: AuditSettings = DEFAULT,
    progress: Progress | None = None,
    *,
    finish: Callable[[Audit], Audit] | None = None,
    each_call: Callable[[Trace, SpanFact, CallScore], None] | None = None,
) -> Audit:
    """Return the report on some inputs.

    Args:
        inputs: what is read, each once; they are looked at together.
        pricer: knows what calls cost.
        settings: see there.
        progress: is told how far it is.
        finish: adds what is said about the findings, such as advice.
        each_call: is told of each call that is billed and what it has of what a charge needs; one
            that :class:`~tollbook.audit.scoring.AwaitsCauses` is told of late causes too.
    """
    run = _Run(pricer, settings, progress or _Silent(), each_call)
    with ExitStack() as stack:
        stack.enter_context(_seldom_collected())
        run.open(stack)
        for source, one in enumerate(inputs):
            run.take(source, one)
        run.judge()
        made = run.report()
    return made if finish is None else finish(made)


def _once(facts: list[SpanFact]) -> list[SpanFact]:
    """Leave out events of logs whose span was read too: both tell of the same call."""
    if all(fact.has_trace for fact in facts):
        return facts
    spans = {fact.span_id for fact in facts if fact.has_trace}
    return [fact for fact in facts if fact.has_trace or fact.span_id not in spans]


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Have the collector of cycles run seldom: spans come and go by the thousand, none in a cycle.

    With the usual threshold it runs for each few spans, and takes a third of the time.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECTED_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


class _Run:
    def __init__(
        self,
        pricer: Pricer,
        settings: AuditSettings,
        progress: Progress,
        each_call: Callable[[Trace, SpanFact, CallScore], None] | None,
    ) -> None:
        self._settings, self._progress, self._pricer = settings, progress, pricer
        self._extractor = Extractor(settings)
        self._rules: Sequence[AnyRule] = rules_of(settings)
        self._tally = Tally(settings.evidence_max, settings.findings_max)
        self._scoring = Scoring(each_call)
        self._awaits = each_call if isinstance(each_call, AwaitsCauses) else None
        self._inputs: list[InputRead] = []
        self._troubles: list[Trouble] = []
        self._spans = self._traces = self._calls = self._wrappers = 0
        self._first_ns = self._last_ns = 0
        self._instrumentations: Counter[tuple[str, str]] = Counter()
        self._services: Counter[str] = Counter()
        self._unowned: Counter[str] = Counter()

    def open(self, stack: ExitStack) -> None:
        held = self._settings.held_max_bytes
        self._by_trace = stack.enter_context(Grouping(held))
        self._joins = [
            (one, stack.enter_context(Grouping(held // 4)))
            for one in self._rules
            if isinstance(one, JoinRule)
        ]
        self._whole = [one for one in self._rules if isinstance(one, WholeRule)]
        self._each = [one for one in self._rules if not isinstance(one, (JoinRule, WholeRule))]

    def take(self, source: int, one: Input) -> None:
        self._inputs.append(one.read)
        put, fact_of = self._by_trace.put, self._extractor.fact
        for part in one:
            if isinstance(part, Trouble):
                if len(self._troubles) < _TROUBLES_MAX:
                    self._troubles.append(part)
                continue
            for span in part.spans:
                fact = fact_of(span, source, part)
                put(fact.trace_id.encode(errors="surrogatepass"), encode_fact(fact))
            self._spans += len(part.spans)
            self._progress.reading(one.read)
        one.read.content_dropped += self._extractor.take_dropped()  # to what its reader dropped
        one.read.notes = [*self._extractor.take_notes(), *one.read.notes]  # bad values first
        self._progress.reading(one.read)

    def judge(self) -> None:
        for one in self._rules:
            if isinstance(one, Expectant):
                one.expect(self._extractor.beginnings)
            if isinstance(one, Holder) and self._awaits is not None:
                one.tell(self._awaits.waits)
        for _, records in self._by_trace.groups():
            self._traces += 1
            for part in parts_of(records):
                self._judge(Trace([self._priced(fact) for fact in _once(part)]))
        for rule, grouping in self._joins:
            for key, records in grouping.groups():
                spans = [decode_fact(one) for one in records]
                spans.sort(key=lambda one: (one.started_at_ns, one.ref))
                self._add_late(rule.check_group(key.decode(errors="replace"), spans))
        for whole in self._whole:
            self._add_late(whole.finish())
        self._add_late(metrics_only(self._inputs, self._calls))

    def _priced(self, fact: SpanFact) -> SpanFact:
        return fact if fact.call is None else self._pricer.price(fact)

    def _judge(self, trace: Trace) -> None:
        self._count(trace)
        causes: dict[str, str] = {}
        found: dict[str, list[Found]] = {}
        for rule in self._each:
            for hit in self._used(rule.check(trace)):
                self._note(hit, self._tally.add(hit), causes, found)
        for whole in self._whole:
            whole.observe(trace)
        for join, grouping in self._joins:
            for key, span in join.keys(trace):
                grouping.put(key.encode(errors="replace")[:1024], encode_fact(span))
        self._scoring.observe(trace, causes, found)
        self._progress.judging(self._traces)

    def _used(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        return (hit for hit in hits if hit.rule not in self._settings.ignore)

    def _note(
        self, hit: Hit, finding_id: str, causes: dict[str, str], found: dict[str, list[Found]]
    ) -> None:
        """Keep, until the trace is scored, which calls a hit is about."""
        about = Found(finding_id, hit.mode, hit.severity, hit.is_cause)
        for ref in hit.affected or (hit.span,):
            found.setdefault(ref, []).append(about)
            if hit.is_cause:
                causes[ref] = hit.mode.value

    def _add_late(self, hits: Iterable[Hit]) -> None:
        """Take hits that needed more than one trace; some say why calls had no owner."""
        for hit in self._used(hits):
            finding_id = self._tally.add(hit)
            if hit.is_cause:
                self._scoring.book(hit, finding_id)
                if self._awaits is not None:
                    self._awaits.because(hit)

    def _count(self, trace: Trace) -> None:
        self._wrappers += len(trace.wrappers)
        for span in trace.calls:
            self._calls += 1
            self._instrumentations[span.scope, span.scope_version] += 1
            service = span.service or "unknown"
            self._services[service] += 1
            if trace.payer_of(span) is None:
                self._unowned[service] += 1
            if span.started_at_ns:
                self._first_ns = min(self._first_ns or span.started_at_ns, span.started_at_ns)
                self._last_ns = max(self._last_ns, span.started_at_ns)

    def report(self) -> Audit:
        return Audit(
            version=__version__,
            made_at=clock.utc_now().isoformat(timespec="seconds"),
            inputs=tuple(self._inputs),
            troubles=tuple(self._troubles),
            spans=self._spans,
            traces=self._traces,
            calls=self._calls,
            wrappers=self._wrappers,
            first_at_ns=self._first_ns,
            last_at_ns=self._last_ns,
            instrumentations=_by_name(self._instrumentations),
            services=dict(self._services.most_common(50)),
            unowned_services={
                name: self._unowned[name]
                for name, _ in self._services.most_common(50)
                if self._unowned[name]
            },
            findings=tuple(
                msgspec.structs.replace(one, score_after=self._scoring.score_after(one.finding_id))
                for one in with_places(self._tally.findings(), [one.source for one in self._inputs])
            ),
            defensibility=self._scoring.result(),
            ignored=self._settings.ignore,
            privacy=self._extractor.words(),
            names=names_mark(self._settings),
            prices=self._pricer.words,
        )


def _by_name(told: Counter[tuple[str, str]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (name, version), calls in told.most_common(50):
        found[f"{name} {version}".strip() or "unknown"] += calls
    return dict(found)


encode_audit: Final = msgspec.json.Encoder().encode
"""The whole of it, for comparison later; :func:`decode_audit` reads it again."""
decode_audit: Final = msgspec.json.Decoder(Audit).decode
