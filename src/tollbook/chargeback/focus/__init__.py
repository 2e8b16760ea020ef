"""FOCUS 1.2 and 1.4 from one model of rows."""
