"""Fuzzing of what reads bytes of strangers; see fuzz/README.md."""
