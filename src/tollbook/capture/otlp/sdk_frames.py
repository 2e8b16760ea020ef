"""``/v1/frames``: the MessagePack array of frames that SDKs send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.call import CallClosed, CallOpened, SpanSeen, decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.call import Frame

MAX_FRAMES: Final = 100_000
_decode_array = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class BadFramesError(Exception):
    """The body is no array of frames."""


def read_frames(body: bytes) -> list[Frame | str]:
    """Return the frames of a body; for one that cannot be read, why.

    Raises:
        BadFramesError: it is not a MessagePack array.
    """
    try:
        raws = _decode_array(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadFramesError("the body is not a MessagePack array of frames") from error
    if len(raws) > MAX_FRAMES:
        raise BadFramesError(f"more than {MAX_FRAMES} frames in one request")
    return [_frame(raw) for raw in raws]


def _frame(raw: msgspec.Raw) -> Frame | str:
    try:
        frame: Frame = decode_frame(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return "it is no frame that this version knows"
    return frame


def pairs_in(frames: Sequence[Frame | str]) -> Iterator[Sequence[Frame] | str]:
    """Yield what belongs together: a call's two frames, a span, or why something is refused.

    A call is told of when it has ended: its open frame alone would be in another life of this
    process than its close frame, and each half would be taken for the whole.
    """
    opened: dict[bytes, CallOpened] = {}
    for frame in frames:
        if isinstance(frame, CallOpened):
            if frame.call_id in opened:
                yield "a call was opened twice"
            else:
                opened[frame.call_id] = frame
        elif isinstance(frame, CallClosed):
            first = opened.pop(frame.call_id, None)
            yield "a call's end came without its beginning" if first is None else (first, frame)
        elif isinstance(frame, SpanSeen):
            yield (frame,)
        elif isinstance(frame, str):
            yield frame
        else:
            yield f"{type(frame).__name__} frames are not taken"
    for _ in opened:
        yield "a call's beginning came without its end"
