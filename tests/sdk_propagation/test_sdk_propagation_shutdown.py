"""What waits is delivered when a server shuts an application down."""

from __future__ import annotations

import asyncio
from typing import Any

from tollbook.sdk.harness import dropped
from tollbook.sdk.middleware.asgi import TollbookMiddleware
from tollbook.sdk.runtime import configure
from tollbook.sdk.sink import MemorySink


class Noting(MemorySink):
    """Notes when it is asked to deliver."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def flush(self, timeout_s: float) -> bool:
        self.said.append(f"flush {timeout_s:g}")
        return True


class Left:
    """A stream that nobody reads."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def end_early(self) -> None:
        self.said.append("ended")


def test_it_is_delivered_before_the_server_hears_of_it() -> None:
    said: list[str] = []
    configure(sink=Noting(said))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                one: Any = Left(said)
                dropped.drop(one)
            await send({"type": f"{message['type']}.complete"})

    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        said.append(message["type"])

    asyncio.run(TollbookMiddleware(application)({"type": "lifespan"}, receive, send))
    assert [one for one in said if one != "ended"] == [
        "lifespan.startup.complete", "flush 5", "lifespan.shutdown.complete",
    ]  # fmt: skip
    assert "ended" in said
