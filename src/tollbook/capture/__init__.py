"""Everything that makes Calls."""
