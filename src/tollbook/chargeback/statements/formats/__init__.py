"""One module for each form that providers state usage and cost in."""
