"""Batches: their owners at submission, their results hours later."""
