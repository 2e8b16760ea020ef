"""The databases that can hold the entries."""
