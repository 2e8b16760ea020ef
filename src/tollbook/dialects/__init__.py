"""How each API speaks: one file per API; request in, usage out, stream framing. Pure."""
