"""Keys of providers: where they come from, which one serves a call, how a request is signed."""
