"""The HTTP API of the ledger process, and how commands ask it."""
