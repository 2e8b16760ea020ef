"""Calls out of other tools' logs: each row once, however often its file is imported."""
