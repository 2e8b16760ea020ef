"""A product on aiohttp and asyncio: an interface, and helpers that do the work."""
