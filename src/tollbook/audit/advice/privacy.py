"""Advice on identity that goes too far, or that is of the wrong kind."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_LEAK: Final = Mode.BAGGAGE_LEAK.value
_KIND: Final = Mode.IDENTITY_KIND.value

_EGRESS: Final = advice(
    "Send baggage to your own hosts only",
    "OpenTelemetry's instrumentations write baggage to every host that is called, providers and "
    "third parties included.",
    """
    import httpx


    def keep_identity(request: httpx.Request) -> None:
        if not request.url.host.endswith(".internal"):
            for name in ("baggage", "x-tenant-id"):
                request.headers.pop(name, None)


    client = httpx.Client(event_hooks={"request": [keep_identity]})
    """,
    page="sdk/context.md",
    tollbook="""
    from opentelemetry.propagate import set_global_textmap

    import tollbook
    from tollbook.sdk.propagation.otel import AllowListPropagator

    tollbook.configure(allowed_hosts=(".services.internal",))
    set_global_textmap(AllowListPropagator())
    """,
)

ADVICE: Final[Book] = {
    (_LEAK, ""): _EGRESS,
    (_LEAK, "httpx"): _EGRESS,
    (_LEAK, "envoy"): advice(
        "Remove identity on the way out",
        "An egress route to a provider removes what only your own services may know.",
        """
        virtual_hosts:
          - name: providers
            domains: ["api.openai.com", "api.anthropic.com"]
            request_headers_to_remove: ["baggage", "tracestate", "x-tenant-id"]
        """,
        "yaml",
        page="identity.md",
    ),
    (_LEAK, "nginx"): advice(
        "Remove identity on the way out",
        "A header that is set to nothing is not sent.",
        """
        location /openai/ {
            proxy_pass https://api.openai.com/;
            proxy_set_header baggage "";
            proxy_set_header x-tenant-id "";
        }
        """,
        "text",
        page="identity.md",
    ),
    (_LEAK, "vercel-ai"): advice(
        "Keep context from requests to providers",
        "The instrumentation of fetch can leave hosts out.",
        """
        new UndiciInstrumentation({
          ignoreRequestHook: (request) => request.origin.endsWith('api.openai.com'),
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
    (_KIND, ""): advice(
        "Set the tenant to the account that pays, and the user beside it",
        "An owner that is a person, a session or a request cannot be summed up to a customer.",
        """
        from opentelemetry import baggage, context


        def attach(account_id: str, user_id: str):
            owner = baggage.set_baggage("tenant.id", account_id)
            return context.attach(baggage.set_baggage("user.id", user_id, owner))
        """,
        page="identity.md",
        tollbook="""
        import tollbook


        def handle(account_id: str, user_id: str, work):
            with tollbook.tenant(account_id, user=user_id):
                return work()
        """,
    ),
    ("A17", ""): advice(
        "Keep the conversation in its own attribute",
        "A conversation, session or request id names no customer: each of them would be one.",
        """
        from opentelemetry import trace


        def tell(account_id: str, conversation_id: str) -> None:
            span = trace.get_current_span()
            span.set_attribute("tenant.id", account_id)
            span.set_attribute("gen_ai.conversation.id", conversation_id)
        """,
        page="identity.md",
    ),
    ("A24", ""): advice(
        "Replace the address by an opaque id, or hash it in the Collector",
        "An e-mail address goes to every backend of telemetry, changes with the person, and has to "
        "be erased on demand. Better is the account's id where the tenant is set.",
        """
        processors:
          attributes/tenant:
            actions:
              - key: tenant.id
                action: hash
        service:
          pipelines:
            traces:
              processors: [attributes/tenant]
        """,
        "yaml",
        page="identity.md",
    ),
}
