"""A year of a product's history, straight into a ledger: to see the console at full size."""
