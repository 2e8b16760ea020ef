"""Advice on who pays: a tenant that is missing, not copied, in conflict, or anybody's claim."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_MISSING: Final = Mode.MISSING_TENANT.value
_NOT_COPIED: Final = Mode.BAGGAGE_NOT_COPIED.value

_COPY: Final = advice(
    "Copy baggage to every span with a baggage span processor",
    "Baggage travels with requests and is not stored: a span has the tenant only when a processor "
    "writes it there as the span starts.",
    """
    from opentelemetry.processor.baggage import BaggageSpanProcessor
    from opentelemetry.sdk.trace import TracerProvider

    KEYS = {"tenant.id", "user.id", "feature"}  # not all: baggage comes from outside too

    provider = TracerProvider()
    provider.add_span_processor(BaggageSpanProcessor(KEYS.__contains__))  # before the exporter's
    """,
    page="otlp/genai.md",
)

ADVICE: Final[Book] = {
    (_MISSING, ""): advice(
        "Set the tenant where the request is authenticated",
        "Nothing on the way to the call says who pays. Set it once, as baggage, and let a "
        "processor copy it to every span.",
        """
        from opentelemetry import baggage, context


        def handle_as(tenant_id: str, handle, request):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return handle(request)
            finally:
                context.detach(token)

        # once: provider.add_span_processor(BaggageSpanProcessor({"tenant.id"}.__contains__))
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        def handle_as(tenant_id: str, handle, request):
            with tollbook.tenant(tenant_id):
                return handle(request)
        """,
    ),
    (_MISSING, "fastapi"): advice(
        "Set the tenant in a middleware, after authentication",
        "A context that is set in a dependency is gone before a streamed response is read.",
        """
        from opentelemetry import baggage, context


        class TenantMiddleware:
            def __init__(self, app, tenant_of):
                self.app, self.tenant_of = app, tenant_of

            async def __call__(self, scope, receive, send):
                owner = baggage.set_baggage("tenant.id", self.tenant_of(scope))
                token = context.attach(owner)
                try:
                    await self.app(scope, receive, send)
                finally:
                    context.detach(token)
        """,
        page="sdk/fastapi.md",
        tollbook="""
        from fastapi import FastAPI

        from tollbook.sdk.middleware.fastapi import TollbookMiddleware

        app = FastAPI()
        app.add_middleware(TollbookMiddleware, tenant_of=lambda request: request.state.tenant)
        """,
    ),
    (_MISSING, "django"): advice(
        "Set the tenant in a middleware, after authentication",
        "request.user is known there, and every view and task below has the context.",
        """
        from opentelemetry import baggage, context


        def tenant_middleware(get_response):
            def handle(request):
                owner = baggage.set_baggage("tenant.id", str(request.user.organisation_id))
                token = context.attach(owner)
                try:
                    return get_response(request)
                finally:
                    context.detach(token)

            return handle
        """,
        page="sdk/django.md",
        tollbook="""
        MIDDLEWARE = ["tollbook.sdk.middleware.django.TollbookMiddleware"]  # after authentication
        TOLLBOOK_TENANT_OF = "shop.tenancy.tenant_of"
        """,
    ),
    (_MISSING, "flask"): advice(
        "Set the tenant before the request is handled",
        "Every call within the request has the context.",
        """
        from flask import Flask, g
        from opentelemetry import baggage, context

        app = Flask(__name__)


        @app.before_request
        def begin():
            g.token = context.attach(baggage.set_baggage("tenant.id", g.tenant_id))


        @app.teardown_request
        def end(error=None):
            context.detach(g.token)
        """,
        page="sdk/flask.md",
        tollbook="""
        from flask import Flask, g

        from tollbook.sdk.middleware.flask import Tollbook

        app = Flask(__name__)
        Tollbook(app, tenant_of=lambda request: g.get("tenant"))
        """,
    ),
    (_MISSING, "langchain"): advice(
        "Name the tenant in the run's metadata",
        "Callbacks write metadata to the spans of the run and of everything that it starts.",
        """
        def run(chain, question: str, tenant_id: str):
            return chain.invoke(question, config={"metadata": {"tenant_id": tenant_id}})
        """,
        page="runs.md",
    ),
    (_MISSING, "vercel-ai"): advice(
        "Name the tenant in the telemetry of each call",
        "Metadata is written to the call's spans.",
        """
        await generateText({
          model,
          prompt,
          experimental_telemetry: { isEnabled: true, metadata: { tenantId } },
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
    ("A02", ""): _COPY,
    (_NOT_COPIED, ""): _COPY,
    (_NOT_COPIED, "vercel-ai"): advice(
        "Copy baggage to every span with a baggage span processor",
        "Baggage travels with requests and is not stored; a processor writes it to spans.",
        """
        import { BaggageSpanProcessor } from '@opentelemetry/baggage-span-processor';

        const keys = new Set(['tenant.id', 'user.id', 'feature']);
        const sdk = new NodeSDK({
          spanProcessors: [
            new BaggageSpanProcessor((key) => keys.has(key)),
            new BatchSpanProcessor(exporter),
          ],
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
    (_NOT_COPIED, "pydantic-ai"): advice(
        "Set baggage with Logfire, which copies it to spans",
        "Logfire writes baggage that is set with its own function on every span.",
        """
        import logfire

        logfire.configure(add_baggage_to_attributes=True)

        with logfire.set_baggage(**{"tenant.id": "acme"}):
            logfire.info("work")
        """,
        page="otlp/logfire.md",
    ),
    (Mode.IDENTITY_CONFLICT.value, ""): advice(
        "Leave the context where it was entered",
        "A context that is attached and not detached, or attached in a generator that others "
        "iterate, stays for the next request that the same thread or task serves.",
        """
        from opentelemetry import baggage, context


        def stream_as(tenant_id: str, parts):
            owner = baggage.set_baggage("tenant.id", tenant_id)
            iterator = iter(parts)
            while True:
                token = context.attach(owner)
                try:
                    part = next(iterator)
                except StopIteration:
                    return
                finally:
                    context.detach(token)  # before anybody else runs
                yield part
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        @tollbook.tenant("acme")  # a generator's body has a context of its own
        def lines():
            yield "part"
        """,
    ),
    ("A32", ""): advice(
        "Set the environment once for all services of a deployment",
        "Spans of one trace name different environments, so cost of tests mixes with customers'.",
        """
        # in the environment of every service of the deployment
        OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=production
        """,
        "bash",
        page="identity.md",
    ),
    (Mode.UNTRUSTED_IDENTITY.value, ""): advice(
        "Drop baggage that comes from outside, and set it from the login",
        "Whoever calls the service writes the header, so anybody can have another pay. Only what "
        "your own authentication says may stay.",
        """
        location / {
            proxy_pass http://web;
            proxy_set_header baggage "";
            proxy_set_header x-tenant-id "";
        }
        """,
        "text",
        page="identity.md",
        tollbook="""
        from fastapi import FastAPI

        from tollbook.sdk.middleware.fastapi import TollbookMiddleware

        app = FastAPI()  # what comes from outside is not believed unless trust_inbound=True
        app.add_middleware(TollbookMiddleware, tenant_of=lambda request: request.state.tenant)
        """,
    ),
    (Mode.UNTRUSTED_IDENTITY.value, "envoy"): advice(
        "Let Envoy remove baggage at the edge",
        "Whoever calls the service writes the header, so anybody can have another pay.",
        """
        route_config:
          request_headers_to_remove: ["baggage", "x-tenant-id"]
        """,
        "yaml",
        page="identity.md",
    ),
}
