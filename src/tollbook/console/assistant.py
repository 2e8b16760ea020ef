"""A server of the Model Context Protocol: assistants ask Tollbook who spent what.

It is a client of the API with the token that it is given, and nothing else: what an assistant can
see is what the token may see, checked where everything is checked. Every answer has the query that
it is of, and until when it is complete. Nothing can be changed through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from tollbook import __version__
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 60.0
_ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
_INSIGHTS: Final = (
    "change", "skew", "units", "layers", "tool-tax", "memory-roi", "prompt-growth",
    "cache-opportunity", "right-sizing", "retry-waste", "operational",
)  # fmt: skip
INSTRUCTIONS: Final = (
    "Tollbook knows which tenant, user, feature, model and agent run spent every dollar of LLM "
    "cost. Ask `who_spent` first. Amounts are exact US dollars as text: do not round them when you "
    "add, and say until when an answer is complete. Costs without a known price are unknown, not "
    "zero; `completeness` says how many."
)


class AssistantError(TollbookError):
    """The API refused, or does not answer; told to the assistant in these words."""


class Asker:
    """Asks the API of one Tollbook.

    Args:
        url: where its console is, ``http://127.0.0.1:8081``.
        token: an API token, which decides what can be seen.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Ask a question; None is left out.

        Raises:
            AssistantError: it was refused, or there was no answer.
        """
        given = [
            (name, str(one))
            for name, value in params.items()
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]
        return self._sent("GET", path, params=given)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask a question that is too long for an URL; raises as :meth:`get`."""
        return self._sent("POST", path, json=body)

    def _sent(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        url = f"{self._url}/api/v1{path}"
        try:
            with httpx2.Client(timeout=TIMEOUT_S, trust_env=False) as client:
                response = client.request(method, url, headers=self._headers, **more)
        except httpx2.HTTPError as error:
            raise AssistantError(f"{self._url} does not answer: {type(error).__name__}") from error
        if len(response.content) > _ANSWER_MAX_BYTES:
            raise AssistantError("the answer is too large; ask for fewer rows")
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise AssistantError(f"HTTP {response.status_code} that is not JSON") from error
        if response.status_code >= httpx2.codes.BAD_REQUEST:
            raise AssistantError(str(answer.get("detail", f"HTTP {response.status_code}")))
        return answer


class Tools:
    """What an assistant can ask; it reads the names, arguments and descriptions.

    Args:
        asker: the API.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def all(self) -> list[Callable[..., dict[str, Any]]]:
        """Return every tool."""
        return [
            self.who_spent, self.list_calls, self.explain_call, self.show_run, self.budgets,
            self.incidents, self.forecast, self.insight, self.margin, self.sql,
        ]  # fmt: skip

    def who_spent(
        self, by: list[str] | None = None, since: str = "30d", until: str | None = None,
        tz: str = "UTC", where: list[str] | None = None, measures: list[str] | None = None,
        limit: int = 20,
    ) -> dict[str, Any]:  # fmt: skip
        """Sum spend by dimensions: tenant, user, feature, model, provider, agent_run, month ...

        Times: 7d, 30d, 2026-11, 2026-11-01, last-month, now. Filters: tenant=acme,
        status!=error, feature= (not set). Measures: cost_usd, calls, errors, input_tokens, ...
        """
        return self._asker.get(
            "/spend", by=",".join(by or ["tenant"]), since=since, until=until, tz=tz,
            where=where or [], measures=",".join(measures) if measures else None, limit=limit,
        )  # fmt: skip

    def list_calls(
        self, where: list[str] | None = None, since: str = "24h", limit: int = 20
    ) -> dict[str, Any]:
        """List calls, newest first, with what each cost and whose it was."""
        return self._asker.get("/calls", where=where or [], since=since, limit=limit)

    def explain_call(self, call_id: str) -> dict[str, Any]:
        """Explain one call: identity, usage as reported, price card, arithmetic line by line."""
        return self._asker.get(f"/calls/{_segment(call_id)}/explain")

    def show_run(self, run_id: str) -> dict[str, Any]:
        """Show the tree of an agent run: own and subtree cost of each step."""
        return self._asker.get(f"/runs/{_segment(run_id)}")

    def budgets(self, owner: str | None = None) -> dict[str, Any]:
        """Tell where budgets stand: limit, spent, left, when they reset, who is blocked."""
        return self._asker.get("/budgets/standing", owner=owner)

    def incidents(self, state: str | None = None, tenant: str | None = None) -> dict[str, Any]:
        """List anomalies with their drivers and dollars; state: open, acknowledged, resolved ..."""
        return self._asker.get("/incidents", state=state, tenant=tenant)

    def forecast(self, by: str | None = None, days: int = 30) -> dict[str, Any]:
        """Forecast spend with an interval and the error of its own trial on the past."""
        return self._asker.get("/insights/forecast", by=by, days=days)

    def insight(
        self, name: str, since: str = "30d", where: list[str] | None = None
    ) -> dict[str, Any]:
        """Say why spend changed, or where it could be less, and how that was computed."""
        if name not in _INSIGHTS:
            raise AssistantError(f"{name[:64]!r} is not one of {', '.join(_INSIGHTS)}")
        return self._asker.get(f"/insights/{name}", since=since, where=where or [])

    def margin(self, by: str = "tenant", period: str = "last-month") -> dict[str, Any]:
        """Show revenue, cost and gross margin by tenant, plan, feature or month."""
        return self._asker.get("/margin", by=by, period=period)

    def sql(self, query: str, tenant: str | None = None, limit: int = 100) -> dict[str, Any]:
        """Answer one SELECT in DuckDB's dialect over `entries` (signed rows) and `calls`."""
        return self._asker.post("/sql", sql=query, tenant=tenant, limit=limit)


def _segment(text: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 -- only here

    return quote(text, safe="")


def make_server(asker: Asker) -> Any:
    """Return the MCP server with all tools, each marked as reading only.

    Raises:
        AssistantError: the package mcp is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 -- an extra
        from mcp.types import ToolAnnotations  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise AssistantError(
            "the package mcp is not installed; pip install 'tollbook[mcp]'"
        ) from error
    server: Any = MCPServer("tollbook", instructions=INSTRUCTIONS, version=__version__)
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for tool in Tools(asker).all():
        server.tool(annotations=reads, structured_output=True)(_told(tool))
    return server


def _told(tool: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a tool whose refusals are told to the assistant in their own words."""
    from functools import wraps  # noqa: PLC0415 -- only here

    from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415 -- an extra

    @wraps(tool)
    def asked(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return tool(*args, **kwargs)
        except AssistantError as error:
            raise ToolError(error.message) from error

    return asked
