"""Budgets: caps that concurrent calls on all workers of a host cannot overshoot."""
