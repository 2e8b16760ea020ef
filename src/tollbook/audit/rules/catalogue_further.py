"""The catalogue of rules, A21 and on."""

from __future__ import annotations

from typing import Final

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.rules.entry import Entry

FURTHER: Final = (
    Entry(
        rule="A21",
        name="batch-without-owner",
        mode=Mode.BATCH_METADATA,
        severity=Severity.ERROR,
        summary="A batch of calls has no owner.",
        why="Answers of a batch come hours later in one file, without the request's context.",
        look_at="Calls of a batch whose span names no tenant.",
        mend=(
            "Write the tenant into the batch's metadata and into each custom_id, and set it on "
            "the spans again when results are read."
        ),
        source="OpenAI Batch API: metadata, custom_id; Anthropic Message Batches: custom_id",
    ),
    Entry(
        rule="A22",
        name="unmeasured-call",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.WARNING,
        summary="A request went to a provider of models and no instrumentation measured it.",
        why="It is paid for and is in no sum.",
        look_at="HTTP client spans to the host of a provider that no span of a call is above.",
        mend="Instrument the client that made it, or send it through the gateway.",
        source="OpenTelemetry semantic conventions, HTTP client spans: server.address",
    ),
    Entry(
        rule="A23",
        name="user-as-tenant",
        mode=Mode.IDENTITY_KIND,
        severity=Severity.WARNING,
        summary="The tenant seems to be a user.",
        why="Charges go to persons where a customer pays; a customer's total cannot be told.",
        look_at="Tenants that equal the user's id, or as many tenants as users.",
        mend="Set the tenant to the account that pays and the user beside it.",
        source="FOCUS: the billed account pays, users are a dimension",
    ),
    Entry(
        rule="A24",
        name="personal-data-as-tenant",
        mode=Mode.IDENTITY_KIND,
        severity=Severity.WARNING,
        summary="The tenant is an e-mail address, a telephone number or the like.",
        why="Personal data goes to every backend of telemetry, and changes with the person.",
        look_at="The form of the values of the tenant; they are not repeated in the report.",
        mend="Use an opaque id of the account.",
        source="OpenTelemetry documentation, handling sensitive data; GDPR article 5(1)(c)",
    ),
    Entry(
        rule="A25",
        name="answering-model-unknown",
        mode=Mode.MODEL_UNKNOWN,
        severity=Severity.WARNING,
        summary="The span names the model that was asked for and not the one that answered.",
        why="Routers, fallbacks and aliases answer with another model, which has another price.",
        look_at="gen_ai.response.model is missing on calls that ended well.",
        mend="Record gen_ai.response.model; update the instrumentation.",
        source="OpenTelemetry GenAI semantic conventions, gen_ai.response.model",
    ),
    Entry(
        rule="A26",
        name="cache-folded-into-input",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.WARNING,
        summary="Cached tokens seem to be told as plain input.",
        why="A read of the cache costs a tenth to a half of plain input: the charge is too high.",
        look_at=(
            "An instrumentation that never tells of the cache for a model of which another one "
            "does, or that is known not to."
        ),
        mend="Update the instrumentation, or keep the provider's own usage object on the span.",
        source="OpenTelemetry GenAI semantic conventions, gen_ai.usage.cache_read.input_tokens",
    ),
    Entry(
        rule="A27",
        name="token-kinds-missing",
        mode=Mode.TOKEN_KINDS,
        severity=Severity.WARNING,
        summary="A call tells of no usage, or not of the kinds that are priced.",
        why="Input and output differ in price by a factor of four and more.",
        look_at="Calls with a total only, without output, or without any count.",
        mend="Record input, output, cache and reasoning tokens apart.",
        source="OpenTelemetry GenAI semantic conventions, gen_ai.usage.*",
    ),
    Entry(
        rule="A28",
        name="clock-skew",
        mode=Mode.CLOCK_SKEW,
        severity=Severity.WARNING,
        summary="Times of spans contradict each other.",
        why="A call near midnight or near a change of price is booked to the wrong day or price.",
        look_at="Spans that begin before the one that caused them, or end before they begin.",
        mend="Keep the clocks of all hosts in step (NTP).",
        source="W3C Trace Context does not order clocks; FOCUS: charge period",
    ),
    Entry(
        rule="A29",
        name="model-unknown",
        mode=Mode.MODEL_UNKNOWN,
        severity=Severity.WARNING,
        summary="The model is in no price book, or the call names none.",
        why="Its calls are free in every sum.",
        look_at="The name of the model as the span tells it.",
        mend="Record the provider's own name of the model; add a price for models of your own.",
        source="Price pages of the providers",
    ),
    Entry(
        rule="A30",
        name="price-version-missing",
        mode=Mode.PRICE_MISSING,
        severity=Severity.NOTE,
        summary="A tool wrote a cost to the span and not by which prices.",
        why="When prices change nobody can tell which cost was worked out by which.",
        look_at="Costs that a tool, not the provider, worked out, without a version of its prices.",
        mend="Write the version or the date of the prices beside the cost, or keep tokens only.",
        source="semantic-conventions-genai PR 443: amount, currency and source of a cost",
    ),
    Entry(
        rule="A31",
        name="trace-damaged",
        mode=Mode.TRACE_DAMAGE,
        severity=Severity.WARNING,
        summary="Traces have holes: missing parents, repeated ids, circles.",
        why="What is above a call cannot be seen, and so whose it is may be lost on the way.",
        look_at="Parents that are named and missing, span ids that occur twice, cycles.",
        mend="Look for dropped spans, for services that are not exported, and for broken headers.",
        source="OpenTelemetry specification, trace API: span ids are unique within a trace",
    ),
    Entry(
        rule="A32",
        name="environments-mixed",
        mode=Mode.IDENTITY_CONFLICT,
        severity=Severity.WARNING,
        summary="Spans of one trace are of different environments.",
        why="Costs of tests are charged to customers, or those of customers to nobody.",
        look_at="deployment.environment.name of the services of a trace.",
        mend="Set the environment in one place for all services of a deployment.",
        source="OpenTelemetry semantic conventions, deployment.environment.name",
    ),
)
