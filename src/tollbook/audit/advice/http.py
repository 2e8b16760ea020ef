"""Advice on requests between services: propagators, clients, servers, proxies."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_STRIPPED: Final = Mode.HEADER_STRIPPING.value

_PROPAGATORS: Final = advice(
    "Let baggage travel with the trace",
    "Both services need the baggage propagator, or the caller does not write the header, or the "
    "called service does not read it.",
    """
    # in the environment of both services
    OTEL_PROPAGATORS=tracecontext,baggage
    """,
    "bash",
    page="sdk/context.md",
    tollbook="""
    from tollbook.sdk.propagation import extract, inject

    headers: dict[str, str] = {}
    inject(headers, host="agents.internal")  # the calling side
    owner = extract(headers)                 # the called side
    """,
)

_GATEWAY: Final = advice(
    "Let the proxy pass on baggage and traceparent",
    "The spans before the proxy name the tenant and those behind it do not: it forwards a list of "
    "headers and these are not on it.",
    """
    # headers that every proxy on the way has to pass on
    baggage
    traceparent
    tracestate
    """,
    "text",
    page="identity.md",
)

ADVICE: Final[Book] = {
    (_STRIPPED, ""): _PROPAGATORS,
    (_STRIPPED, "http"): _PROPAGATORS,
    (_STRIPPED, "gateway"): _GATEWAY,
    (_STRIPPED, "httpx"): advice(
        "Instrument httpx, so that it writes baggage",
        "A client that is not instrumented, or a transport of one's own, sends no context.",
        """
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        HTTPXClientInstrumentor().instrument()  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/httpx.md",
        tollbook="""
        import httpx

        from tollbook.sdk.propagation.httpx import instrument

        client = instrument(httpx.Client())
        """,
    ),
    (_STRIPPED, "requests"): advice(
        "Instrument requests, so that it writes baggage",
        "A session that is not instrumented sends no context to the next service.",
        """
        from opentelemetry.instrumentation.requests import RequestsInstrumentor

        RequestsInstrumentor().instrument()  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/requests.md",
        tollbook="""
        import requests

        from tollbook.sdk.propagation.requests import instrument

        session = instrument(requests.Session())
        """,
    ),
    (_STRIPPED, "aiohttp"): advice(
        "Instrument aiohttp's client, so that it writes baggage",
        "A session that is not instrumented sends no context to the next service.",
        """
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

        AioHttpClientInstrumentor().instrument()  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/aiohttp.md",
        tollbook="""
        import aiohttp

        from tollbook.sdk.propagation.aiohttp import propagate


        async def fetch(url: str) -> str:
            async with aiohttp.ClientSession(middlewares=(propagate,)) as session:
                async with session.get(url) as answer:
                    return await answer.text()
        """,
    ),
    (_STRIPPED, "fastapi"): advice(
        "Read baggage in the called service",
        "The request arrives with the header, and the service's spans are made without it.",
        """
        from fastapi import FastAPI
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        app = FastAPI()
        FastAPIInstrumentor.instrument_app(app)  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/fastapi.md",
        tollbook="""
        from fastapi import FastAPI

        from tollbook.sdk.middleware.fastapi import TollbookMiddleware

        app = FastAPI()
        app.add_middleware(TollbookMiddleware, trust_inbound=True)  # an inner service
        """,
    ),
    (_STRIPPED, "django"): advice(
        "Read baggage in the called service",
        "The request arrives with the header, and the service's spans are made without it.",
        """
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        DjangoInstrumentor().instrument()  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/django.md",
        tollbook="""
        MIDDLEWARE = [
            "tollbook.sdk.middleware.django.TollbookMiddleware",  # after authentication
        ]
        TOLLBOOK_TRUST_INBOUND = True  # an inner service
        """,
    ),
    (_STRIPPED, "flask"): advice(
        "Read baggage in the called service",
        "The request arrives with the header, and the service's spans are made without it.",
        """
        from flask import Flask
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        app = Flask(__name__)
        FlaskInstrumentor().instrument_app(app)  # with OTEL_PROPAGATORS=tracecontext,baggage
        """,
        page="sdk/flask.md",
        tollbook="""
        from flask import Flask

        from tollbook.sdk.middleware.flask import Tollbook

        app = Flask(__name__)
        Tollbook(app, trust_inbound=True)  # an inner service
        """,
    ),
    (_STRIPPED, "nginx"): advice(
        "Let nginx pass on baggage and traceparent",
        "proxy_set_header in a location replaces all headers that were set outside of it.",
        """
        location / {
            proxy_pass http://agents;
            proxy_set_header baggage $http_baggage;
            proxy_set_header traceparent $http_traceparent;
            proxy_set_header tracestate $http_tracestate;
        }
        """,
        "text",
        page="identity.md",
    ),
    (_STRIPPED, "envoy"): advice(
        "Take baggage off the list of headers that Envoy removes",
        "Envoy passes headers on unless a route removes them, or ext_authz allows only some.",
        """
        http_filters:
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              allowed_headers:
                patterns:
                  - exact: baggage
                  - exact: traceparent
                  - exact: tracestate
        """,
        "yaml",
        page="identity.md",
    ),
    (_STRIPPED, "litellm-proxy"): advice(
        "Name the tenant in a header that LiteLLM keeps",
        "The proxy ends the request and makes another one; it writes down only the headers that it "
        "is told to.",
        """
        litellm_settings:
          callbacks: ["otel"]
          extra_spend_tag_headers: ["x-tenant-id"]
        general_settings:
          forward_client_headers_to_llm_api: false  # a provider has no use for the tenant
        """,
        "yaml",
        page="otlp/litellm.md",
        tollbook="""
        # the gateway reads x-litellm-* and baggage, and keeps them from providers
        export OPENAI_BASE_URL=http://127.0.0.1:8080/openai/v1
        """,
        tollbook_language="bash",
    ),
    (_STRIPPED, "vercel-ai"): advice(
        "Let the Node service read and write baggage",
        "The SDK for Node takes its propagators from the environment.",
        """
        # in the environment of the service
        OTEL_PROPAGATORS=tracecontext,baggage
        NODE_OPTIONS="--require @opentelemetry/auto-instrumentations-node/register"
        """,
        "bash",
        page="otlp/vercel.md",
    ),
}
