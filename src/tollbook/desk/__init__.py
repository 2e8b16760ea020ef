"""The desk: what operations work on, who may ask for which, and the list of all of them."""

from tollbook.desk.desk import BODY_MAX_BYTES, Desk, FileAnswer, Operation, ReadOnlyError

__all__ = ["BODY_MAX_BYTES", "Desk", "FileAnswer", "Operation", "ReadOnlyError"]
