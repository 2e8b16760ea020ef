"""Routes: which target serves a request, and which one after it failed."""
