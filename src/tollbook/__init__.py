"""Tollbook: which tenant, user, feature and agent run spent every dollar of the LLM bill."""

__version__ = "0.1.0"
