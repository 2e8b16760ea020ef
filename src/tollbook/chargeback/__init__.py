"""From ledger to finance: statements, reconciliation, allocation, close, exports.

Each package below is one subject and offers :class:`~tollbook.desk.Operation` objects;
API and command line are made of those.
"""
