"""Read-only SQL for analysts: one SELECT over the ledger, of one tenant where that is all."""
