"""Spans of OpenTelemetry instrumentations as calls."""
