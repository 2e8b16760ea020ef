"""The data plane: connections, admission, relaying and metering, on asyncio protocols.

``worker`` runs one process; ``service`` is the whole of it; ``client`` and ``upstream`` are the two
sides of the wire; ``exchange`` is one request between them.
"""
