"""What a Bedrock path says: which model, how, and in which region.

``/model/{modelId}/{action}``, where the id is percent-encoded and one of (API reference,
InvokeModel, ``modelId``): a model id, an inference profile id with its geography in front
(``us.anthropic.…``), or an ARN of one of these, of an application inference profile, of provisioned
throughput, of a custom or imported model, of a prompt or of a prompt router.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tollbook.dialects.http_head import plain_path
from tollbook.dialects.request_body import as_model

_MARK: Final = "/model/"
_NAMED_IN_ARN: Final = frozenset({"foundation-model", "inference-profile"})
"""ARNs that end in the model's own id; all others end in an id that says nothing."""
_ARN_PARTS: Final = 6
_EMBEDDING_MARKS: Final = ("embed", "marengo")
_IMAGE_MARKS: Final = ("image", "canvas", "stability.", "stable-")
_VIDEO_MARKS: Final = ("reel", "luma.", "pegasus")


class ModelPath(NamedTuple):
    """A path below ``/model/``."""

    model: str
    """The id, without the ARN around it where the ARN ends in the model's own id."""
    action: str
    region: str | None
    """Of an ARN: where the profile or the throughput is."""


def read_model_path(path: str) -> ModelPath | None:
    """Return what a path says, None for one that names no model."""
    path = plain_path(path)
    start = path.find(_MARK)
    if start < 0:
        return None
    model, _, action = path[start + len(_MARK) :].rpartition("/")
    if as_model(model) is None:
        return None
    return ModelPath(model_in(model), action, region_in(model))


def model_in(model_id: str) -> str:
    """Return the model's own id where an ARN ends in it, else the id as it is."""
    parts = model_id.split(":", _ARN_PARTS - 1)  # the id itself may hold colons
    if parts[0] == "arn" and len(parts) == _ARN_PARTS:
        kind, _, name = parts[-1].partition("/")
        if kind in _NAMED_IN_ARN and name:
            return name
    return model_id


def region_in(model_id: str) -> str | None:
    """Return the region of an ARN (``arn:aws:bedrock:REGION:…``), None for any other id."""
    parts = model_id.split(":", _ARN_PARTS - 1)
    is_arn = parts[0] == "arn" and len(parts) == _ARN_PARTS
    return (parts[3] or None) if is_arn else None


def is_provisioned(model_id: str | None) -> bool:
    """Whether an id is bought throughput, which is billed by the hour and not by the token."""
    return model_id is not None and ":provisioned-model/" in model_id


def says_nothing(model_id: str | None) -> bool:
    """Whether an id does not tell the model: an application inference profile, a router."""
    return model_id is None or model_id.startswith("arn:")


def operation_of(model_id: str) -> str:
    """Return the operation that ``invoke`` is, which only the model's name tells."""
    name = model_id.lower()
    if any(mark in name for mark in _EMBEDDING_MARKS):
        return "embeddings"
    if "rerank" in name:
        return "rerank"
    if any(mark in name for mark in _IMAGE_MARKS):
        return "image"
    if any(mark in name for mark in _VIDEO_MARKS):
        return "video"
    return "chat"
