"""The product as a team without Tollbook runs it: OpenTelemetry, and the tenant as baggage.

It runs in an environment of its own (``tools/setup_corpus.sh``) and imports nothing of Tollbook.
"""
