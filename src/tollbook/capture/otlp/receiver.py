"""The receiver's core: a request's bytes in, frames on file, an outcome; no network in it.

An answer of success is given only when the frames are in the spool file, as the gateway gives its
last byte only then. What is refused for good (a span that cannot be) is counted and named in the
partial success; what may be taken later is told so; and a request that is sent again is harmless,
since every call has the id that its span or SDK gives it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from tollbook import clock
from tollbook.call import CallOpened, FramesLost, Observer, SpanSeen
from tollbook.capture.intake_limits import problem_of
from tollbook.capture.intake_owner import owned
from tollbook.capture.otlp.errors import BadOtlpError
from tollbook.capture.otlp.outcome import SPOOL_FAILS, Kind, Outcome, Signal, refused
from tollbook.capture.otlp.sdk_frames import BadFramesError, pairs_in, read_frames
from tollbook.capture.otlp.tally import Tally
from tollbook.capture.otlp.unpack import CODINGS, TooLargeError, UnpackError, unpack
from tollbook.identity import Mechanism
from tollbook.spool.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.call import Frame
    from tollbook.identity import KeyBinding
    from tollbook.spool import SpoolHealth

    Told = Callable[[int], Sequence[Frame] | str]
    """One span or record: given when it was received (ns), its frames, a call's open frame before
    its close frame; or why there are none."""
    Readers = dict[tuple[Signal, str], Callable[[bytes], Sequence[Told]]]

logger = logging.getLogger(__name__)


class Spool(Protocol):
    """See :class:`tollbook.capture.intake.Intake`."""

    def put(self, frames: Sequence[Frame]) -> bool:
        """Return whether the frames are on file."""

    @property
    def health(self) -> SpoolHealth:
        """How the writer is doing."""


class Receiver:
    """Takes requests; callable from any thread.

    Args:
        spool: where frames go.
        readers: by signal and encoding (``protobuf``, ``json``), what reads a body into spans or
            records; raises :class:`BadOtlpError`.
        max_decoded_bytes: of a body after decompression.
        default_environment: of calls that do not name one.
    """

    def __init__(
        self,
        spool: Spool,
        readers: Readers,
        *,
        max_decoded_bytes: int,
        default_environment: str,
    ) -> None:
        self._spool, self._readers = spool, readers
        self._max_decoded_bytes = max_decoded_bytes
        self._environment = default_environment
        self.tally = Tally()

    @property
    def spool_health(self) -> SpoolHealth:
        """How the spool is doing."""
        return self._spool.health

    def take(
        self,
        signal: Signal,
        encoding: str,
        coding: str,
        body: bytes,
        key: KeyBinding | None,
        lost: int = 0,
    ) -> Outcome:
        """Read a request and write what it says; never raises.

        Args:
            signal: what it carries.
            encoding: ``protobuf``, ``json``; of frames always MessagePack.
            coding: how the body is compressed: ``gzip``, ``deflate``, or empty.
            body: as it came.
            key: that it came with.
            lost: how many calls its sender has given up before, for the ledger to tell of.
        """
        try:
            data = unpack(body, self._max_decoded_bytes) if coding in CODINGS else body
            outcome = self._take(signal, encoding, data, key, lost)
        except (BadOtlpError, UnpackError, BadFramesError) as error:
            outcome = refused(Kind.MALFORMED, str(error))
        except TooLargeError:
            limit = self._max_decoded_bytes
            message = f"a request may have {limit} bytes when unpacked; send smaller batches"
            outcome = refused(Kind.TOO_LARGE, message)
        except SpoolError as error:
            logger.error("the spool cannot be written: %s", error)  # noqa: TRY400 -- one line says it
            outcome = SPOOL_FAILS
        except Exception:
            # Whoever sent it would send it again for ever; what it is must be found in the log.
            logger.exception("a request of %s could not be read", signal.value)
            outcome = refused(Kind.MALFORMED, "the request could not be read")
        self.tally.count(signal, outcome)
        return outcome

    def _take(
        self, signal: Signal, encoding: str, body: bytes, key: KeyBinding | None, lost: int
    ) -> Outcome:
        now_ns = clock.unix_ns()
        if signal is Signal.FRAMES:
            groups: list[Sequence[Frame] | str] = list(pairs_in(read_frames(body)))
            otherwise = Mechanism.SDK
        else:
            told = self._readers[signal, encoding](body)
            groups = [one(now_ns) for one in told]
            otherwise = Mechanism.SPAN
        frames: list[Frame] = []
        accepted = rejected = 0
        problem = ""
        for group in groups:
            found = self._checked(group, key, otherwise, now_ns)
            if isinstance(found, str):
                rejected += 1
                problem = problem or found
            else:
                accepted += 1
                frames += found
        if lost:
            frames.append(FramesLost(now_ns, lost, now_ns))
        if frames and not self._spool.put(frames):
            return SPOOL_FAILS
        message = f"{rejected} not taken, the first because {problem}" if rejected else ""
        return Outcome(Kind.OK, accepted, rejected, message)

    def _checked(
        self,
        group: Sequence[Frame] | str,
        key: KeyBinding | None,
        otherwise: Mechanism,
        now_ns: int,
    ) -> list[Frame] | str:
        if isinstance(group, str):
            return group
        frames: list[Frame] = []
        for frame in group:
            problem = problem_of(frame, now_ns)
            if problem is not None:
                return problem
            if otherwise is Mechanism.SDK:
                frame = _seen_by_sdk(frame, now_ns)  # noqa: PLW2901 -- the same frame, corrected
            frames.append(owned(frame, key, self._environment, otherwise))
        return frames


def _seen_by_sdk(frame: Frame, now_ns: int) -> Frame:
    """Return a frame as one of an SDK's: a sender cannot pass for the gateway."""
    if isinstance(frame, CallOpened):
        return replace(frame, observer=Observer.SDK)
    if isinstance(frame, SpanSeen):
        return replace(frame, observer=Observer.SDK, at_ns=now_ns)
    return frame
