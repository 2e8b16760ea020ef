"""Prices of a month or an hour, not of a call: volume, minimums, quotas, commitments."""
