"""The catalogue of rules, A01 to A20."""

from __future__ import annotations

from typing import Final

from tollbook.audit.findings import SIX, Mode, Severity
from tollbook.audit.rules.entry import Entry

_SEMCONV: Final = "OpenTelemetry GenAI semantic conventions"

USUAL: Final = (
    Entry(
        rule="A01",
        name="no-tenant",
        mode=Mode.MISSING_TENANT,
        also=(*SIX, Mode.BAGGAGE_NOT_COPIED),
        severity=Severity.ERROR,
        summary="A call that is billed names nobody who pays for it.",
        why="Its cost can be charged to no tenant; it ends in the provider's invoice as overhead.",
        look_at=(
            "The call's span has no tenant. The hop tells where the tenant was last seen on the "
            "way to it (service, instrumentation, span) and where it was first missing."
        ),
        mend=(
            "Set the tenant once where the request is authenticated and let it travel as W3C "
            "baggage to every span; mend the hop that the finding names."
        ),
        source="W3C Baggage; OpenTelemetry baggage span processor",
    ),
    Entry(
        rule="A02",
        name="tenant-on-root-only",
        mode=Mode.BAGGAGE_NOT_COPIED,
        also=SIX,
        severity=Severity.WARNING,
        summary="Only a span far above the call names the tenant.",
        why=(
            "Tools that sum up spans one by one (most dashboards do) see a call without an owner; "
            "and the link is gone when a sampler or an exporter drops the span above."
        ),
        look_at="The tenant of an ancestor, and the first span below it that does not say it.",
        mend="Copy the tenant to every span, with a baggage span processor or by hand.",
        source="OpenTelemetry baggage span processor",
    ),
    Entry(
        rule="A03",
        name="conflicting-identity",
        mode=Mode.IDENTITY_CONFLICT,
        severity=Severity.ERROR,
        summary="One trace or one conversation names several tenants.",
        why=(
            "Calls are booked to the wrong tenant: context leaks between requests, most often in "
            "streaming generators, thread pools, and caches of clients that hold an identity."
        ),
        look_at=(
            "The span whose tenant is another than that of the span above it. Jobs that work for "
            "several tenants at once and say so by span links are left out."
        ),
        mend=(
            "Attach the identity to the request, not to the thread or the client; run each step "
            "of a generator in a copied context."
        ),
        source="opentelemetry-python#2606: attach() within generators leaks into the consumer",
    ),
    Entry(
        rule="A04",
        name="untrusted-identity",
        mode=Mode.UNTRUSTED_IDENTITY,
        severity=Severity.WARNING,
        summary="The tenant came in by a header that anybody can send.",
        why="A caller that writes another tenant's name into the header lets that tenant pay.",
        look_at=(
            "A server span at the root of a trace that got the tenant by inbound baggage or a "
            "header, and names no user that was authenticated."
        ),
        mend=(
            "Take the tenant from the verified session or key at the edge, and drop identity "
            "headers and baggage of requests from outside."
        ),
        source="W3C Baggage, section Security Considerations",
    ),
    Entry(
        rule="A05",
        name="stream-without-usage",
        mode=Mode.STREAMING,
        severity=Severity.ERROR,
        summary="A stream ended well and its span tells of no usage.",
        why="The call costs money that no sum contains.",
        look_at=(
            "A streaming call without token counts: the span was ended before the last chunk, "
            "usage was not asked for, or it was written to a span without context."
        ),
        mend=(
            "Ask for usage (stream_options.include_usage for OpenAI's chat API) and end the span "
            "when the stream ends."
        ),
        source="OpenAI API reference, stream_options; measured: 139 of 394 recorded chat streams",
    ),
    Entry(
        rule="A06",
        name="wrapper-counted",
        mode=Mode.DOUBLE_COUNTING,
        severity=Severity.ERROR,
        summary="A span repeats the usage that spans below it tell.",
        why="A sum over all spans with usage counts the same tokens twice or more often.",
        look_at=(
            "An agent, a chain or a client whose span carries token counts, with calls below it "
            "that carry them too. The factor is (wrappers + calls) / calls, in tokens."
        ),
        mend="Sum up the innermost calls only, or turn off one of two instrumentations.",
        source=_SEMCONV + ", invoke_agent: usage of the agent as a whole",
    ),
    Entry(
        rule="A07",
        name="counted-twice",
        mode=Mode.DOUBLE_COUNTING,
        also=(Mode.RETRIES,),
        severity=Severity.ERROR,
        summary="Several spans tell of one answer of a provider, or a retry is counted twice.",
        why="The provider bills it once; sums have it as often as it is told.",
        look_at=(
            "Spans with the same response id that are not above one another; a failed attempt "
            "with usage beside the attempt that succeeded; a call after a failed one that does not "
            "say that it repeats it (a note)."
        ),
        mend=(
            "Count an answer by its response id; let only one of SDK and gateway report usage; "
            "mark attempts with their number and with what they retry."
        ),
        source=_SEMCONV + ", gen_ai.response.id",
    ),
    Entry(
        rule="A08",
        name="cache-exceeds-input",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.WARNING,
        summary="There are more cached tokens than tokens of input.",
        why=(
            "The input leaves the cache out, against the convention: whoever subtracts the cache "
            "from it charges too little."
        ),
        look_at="cache_read + cache_write against the count of input of the same span.",
        mend="Update the instrumentation; until then count its input as without the cache.",
        source=_SEMCONV + ", gen_ai.usage.input_tokens: includes cached tokens",
    ),
    Entry(
        rule="A09",
        name="total-differs",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.WARNING,
        summary="The total of tokens is not the sum of its parts.",
        why="Some tokens are told in the total only (tool use, thoughts): they are not priced.",
        look_at="The total against input and output, with and without cache and reasoning.",
        mend="Update the instrumentation, or keep the provider's own usage object on the span.",
        source="Measured over recorded answers: the total is the sum for every provider",
    ),
    Entry(
        rule="A10",
        name="hidden-passes",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.ERROR,
        summary="The provider made further passes that the token counts leave out.",
        why=(
            "Compaction and advisor passes are billed and are not in the top level of the usage: "
            "recorded answers cost up to 613 times what it says."
        ),
        look_at="usage.iterations in the provider's own usage object against the span's counts.",
        mend="Keep the provider's usage object on the span and price each iteration by its model.",
        source="Anthropic documentation, compaction: usage.iterations",
    ),
    Entry(
        rule="A11",
        name="price-uncertain",
        mode=Mode.PRICE_MISSING,
        severity=Severity.WARNING,
        summary="A call has no price, or one that may not be the one that was charged.",
        why="An alias can point to another model tomorrow; a tier or a batch has another price.",
        look_at=(
            "Calls without a price; models named by an alias (-latest) without the model that "
            "answered; prices that are old; a service tier or cache lifetime that is not told."
        ),
        mend="Record the model that answered, the service tier and the batch; renew the prices.",
        source="Price pages of the providers",
    ),
    Entry(
        rule="A12",
        name="cost-differs",
        mode=Mode.COST_MISMATCH,
        severity=Severity.WARNING,
        summary="The reported cost and the one by list prices are more than 0.5 % apart.",
        why="One of the two is charged to a tenant, and it may be the wrong one.",
        look_at="The cost on the span against the tokens of the span at the price of that day.",
        mend="Find which price each used; a provider's own figure is the one on the invoice.",
        source="Measured: recorded answers with a provider's cost match to 0.5 % for token prices",
    ),
    Entry(
        rule="A13",
        name="agent-sum-differs",
        mode=Mode.TRACE_DAMAGE,
        severity=Severity.WARNING,
        summary="An agent's sum of tokens is not the sum of the calls below it.",
        why="Calls are missing from the trace: they were dropped or never instrumented.",
        look_at="The counts of the agent's span against those of all calls below it.",
        mend="Look for dropped spans (queue of the exporter, sampling) and for silent clients.",
        source=_SEMCONV + ", invoke_agent",
    ),
    Entry(
        rule="A14",
        name="sampled",
        mode=Mode.SAMPLING,
        severity=Severity.WARNING,
        summary="Only a part of the traces was kept.",
        why="Sums are too low by that part; scaled up they are estimates, which are no charge.",
        look_at="The sampling threshold in tracestate, or the sample rate that an export tells.",
        mend="Keep every span of a call to a model, or charge by something that is not sampled.",
        source="OpenTelemetry specification, tracestate: probability sampling (ot=th)",
    ),
    Entry(
        rule="A15",
        name="identity-sent-out",
        mode=Mode.BAGGAGE_LEAK,
        severity=Severity.ERROR,
        summary="Names of tenants or users were sent to a host that is not yours.",
        why="Who your customers are reaches a provider or another third party.",
        look_at="Client spans that show baggage or identity headers sent to a public host.",
        mend="Remove baggage and identity headers before requests leave, or allow hosts by name.",
        source="W3C Baggage, section Privacy; measured: HTTP instrumentations send it to any host",
    ),
    Entry(
        rule="A16",
        name="metrics-only",
        mode=Mode.METRICS_ONLY,
        severity=Severity.ERROR,
        summary="Usage is told by metrics and by no span.",
        why="A metric has no request: no charge can be proved, and no call be found again.",
        look_at="Metric points of token usage in what was read, and no span with usage.",
        mend="Turn on the spans of the instrumentation that writes the metrics.",
        source=_SEMCONV + ", metrics",
    ),
    Entry(
        rule="A17",
        name="conversation-as-owner",
        mode=Mode.IDENTITY_KIND,
        severity=Severity.ERROR,
        summary="The tenant is the id of a conversation, a session or a request.",
        why="Nobody can be charged: there are as many tenants as conversations.",
        look_at="A tenant that equals another id of the call, or is another one for every call.",
        mend="Put the paying customer into the tenant and leave conversations their own attribute.",
        source=_SEMCONV + ", gen_ai.conversation.id",
    ),
    Entry(
        rule="A18",
        name="shared-key",
        mode=Mode.SINGLE_KEY,
        severity=Severity.NOTE,
        summary="One key of a provider serves several owners.",
        why="The provider's invoice names the key only, so it cannot confirm the split.",
        look_at="How many tenants are seen with each key.",
        mend="Give each large tenant or team a key or a project of its own, or use virtual keys.",
        source="Usage and cost APIs of the providers group by key, project and model",
    ),
    Entry(
        rule="A19",
        name="failed-and-billed",
        mode=Mode.RETRIES,
        severity=Severity.WARNING,
        summary="A call that failed or was broken off tells of tokens that are billed.",
        why="It costs money, and reports that count successful calls only leave it out.",
        look_at="Spans with the status error and with output tokens.",
        mend="Sum up usage whatever the status, and decide who pays for what failed.",
        source="Providers bill the tokens that they made before a stream was broken off",
    ),
    Entry(
        rule="A20",
        name="fetched-answer-counted",
        mode=Mode.DOUBLE_COUNTING,
        severity=Severity.ERROR,
        summary="A span that only fetched a stored answer carries its usage again.",
        why="Sums count the answer twice; fetching it is free.",
        look_at="gen_ai.operation.name = fetch_response with token counts.",
        mend="Leave such spans out of sums, or update the instrumentation.",
        source=_SEMCONV + ", fetch_response: SHOULD NOT report token usage",
    ),
)
