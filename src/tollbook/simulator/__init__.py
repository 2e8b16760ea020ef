"""Simulated providers, a multi-tenant product that calls them, and the true bill.

This room is the independent oracle: it imports nothing of what it checks (an import-linter
contract keeps it so). Enter through :mod:`process` (start the providers), :mod:`traffic` (plan),
:mod:`drive_sdk` and :mod:`drive_raw` (send), :mod:`truth` and :mod:`bill` (what is owed).
"""
