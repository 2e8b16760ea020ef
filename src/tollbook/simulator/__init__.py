"""Providers, tenants, traffic, faults and a true invoice: for demo, tests and benchmarks."""
