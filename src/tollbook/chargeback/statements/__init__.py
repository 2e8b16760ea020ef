"""What providers say that was used and costs: imported, fetched, kept as received."""
