"""Rules over the ledger, incidents with their drivers, and the channels that tell of them."""
