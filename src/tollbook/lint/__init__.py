"""Finds calls to providers that bypass the harness or the gateway; reads syntax, runs nothing."""
