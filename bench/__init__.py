"""Speed and memory of Tollbook, beside the peer that does the same work: ``make bench``."""
