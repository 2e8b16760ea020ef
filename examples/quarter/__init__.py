"""A quarter of three providers, 200 tenants and two million calls, with planted differences.

``python -m examples.quarter`` writes the traffic into a ledger, hands over the statements and
invoices of the providers, reconciles, trues up, allocates and closes three months, and holds every
step against what was planted. ``world``, ``plants``, ``truth`` and ``bills`` import nothing of
Tollbook: they are the truth.
"""
