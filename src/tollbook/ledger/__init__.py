"""Enrich, append, correct: the exact, append-only books of calls."""
