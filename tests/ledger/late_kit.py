"""A background response and the requests that show it, as a gateway writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.ledger.conftest import World

from tollbook.call import LateUsage, Metering

if TYPE_CHECKING:
    from tollbook.call import CallClosed, CallOpened, Frame

USAGE = b'{"input_tokens":1000,"output_tokens":100,"total_tokens":1100}'
USD = "0.0028"
"""Of USAGE at the prices of the world: 2 and 8 dollars a million."""
ESTIMATE_USD = "0.00002"
"""Of the forty characters that were sent."""


class LateWorld(World):
    """A ledger world with answers in the background."""

    def post(self, response_id: str = "resp_1", **closed: Any) -> tuple[CallOpened, CallClosed]:
        opened = self.opened(
            operation="responses", path="/v1/responses", asked={"background": 1}
        )  # fmt: skip
        answer: dict[str, Any] = {
            "usage": (), "usage_complete": False, "provider_response_id": response_id,
            "model_actual": "m-1-2026",
        }  # fmt: skip
        return opened, self.closed(opened, **(answer | closed))

    def shown(
        self, response_id: str = "resp_1", provider: str = "openai", **fields: Any
    ) -> tuple[CallOpened, LateUsage, CallClosed]:
        """A GET that costs nothing, and what it showed."""
        opened = self.opened(
            operation="retrieval", path=f"/v1/responses/{response_id}", method="GET",
            metering=Metering.FREE, input_chars=0, tenant_id="someone-else",
        )  # fmt: skip
        usage = fields.pop("usage", (USAGE,))
        late = LateUsage(opened.call_id, self.tick(), provider, response_id, usage, **fields)
        return opened, late, self.closed(opened, usage=(), usage_complete=False)

    def write(self, *frames: Frame) -> None:
        """Write frames with a writer of their own, and book them."""
        writer = self.writer(1 << 20)
        for frame in frames:
            writer.append(frame)
        assert writer.flush()
        writer.close()
        self.drain()

    def entries(self, operation: str = "responses") -> list[tuple[Any, ...]]:
        rows = self.rows(
            "SELECT kind, tenant_id, usage_source, cost_usd FROM entries"
            f" WHERE operation = '{operation}' ORDER BY entry_id"
        )
        return [(*row, f"{usd.normalize():f}") for *row, usd in rows]
