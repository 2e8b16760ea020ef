"""Traces of a product that real instrumentations watched, with one thing wrong in each run."""
