"""Prices that belong to a month or an hour, not to a call: tiers, quotas, minimums, commitments."""
