"""From spool to signed entries: ingest, enrich, append, correct, verify."""
