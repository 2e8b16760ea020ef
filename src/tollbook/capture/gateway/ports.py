"""What the gateway needs of other rooms, as protocols, so that tests can stand in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tollbook.capture.gateway.cost_report import Costs

if TYPE_CHECKING:
    from tollbook.call import Frame
    from tollbook.capture.gateway.routing.strategy import ListPrice
    from tollbook.identity.claims import KeyBinding

VIRTUAL_KEY_PREFIX = "tb_"


class SpoolHealthView(Protocol):
    """How the spool is doing; see :class:`tollbook.spool.writer.SpoolHealth`."""

    @property
    def ok(self) -> bool: ...  # noqa: D102 -- the name says it
    @property
    def error(self) -> str | None: ...  # noqa: D102 -- the name says it
    @property
    def ring_bytes(self) -> int: ...  # noqa: D102 -- the name says it
    @property
    def frames_lost(self) -> int: ...  # noqa: D102 -- the name says it
    @property
    def bytes_written(self) -> int: ...  # noqa: D102 -- the name says it


class FrameSink(Protocol):
    """Where frames go; see :class:`tollbook.spool.writer.SpoolWriter`."""

    def append(self, frame: Frame) -> None:
        """Queue a frame; never raises."""

    def flush(self) -> bool:
        """Write what is queued with one system call; True when all of it is on file."""

    def sync(self) -> object:
        """Force written frames to disk; called from a thread."""

    @property
    def health(self) -> SpoolHealthView:
        """How the writer is doing."""

    def close(self) -> None:
        """Write and sync what is left."""


class KeyProblemView(Protocol):
    """Why a virtual key is refused."""

    @property
    def reason(self) -> str: ...  # noqa: D102 -- the name says it


class Prices(Costs, Protocol):
    """What calls cost; see :class:`tollbook.supervisor.gateway_prices.GatewayPrices`."""

    def list_price(self, provider: str, model: str) -> ListPrice | None:
        """Return what a model costs now, None where that is not known."""


class Keys(Protocol):
    """The virtual keys, in memory."""

    def lookup(self, secret: str) -> KeyBinding | KeyProblemView:
        """Return what a key is bound to, or why it is refused."""

    def refresh(self) -> bool:
        """Take up changes, return whether there were any; cheap enough for every refusal."""


class NoKey:
    """The answer of :class:`NoKeys`."""

    reason = "no virtual keys exist here"


class NoKeys:
    """A directory without keys, for a gateway that has no books yet."""

    def lookup(self, secret: str) -> KeyBinding | KeyProblemView:
        """Return that there are none."""
        del secret
        return NoKey()

    def refresh(self) -> bool:
        """Nothing changes."""
        return False
