"""What one tenant sees of itself: a page to embed and an API, by short-lived signed tokens."""
