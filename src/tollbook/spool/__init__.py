"""The durable, append-only hand-over between capture and the ledger."""
