"""Files, folders, streams and a live endpoint to spans, whatever tool wrote them."""
