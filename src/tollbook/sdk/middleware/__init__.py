"""Identity of a request from the application's own authentication, set once for all its work."""

from tollbook.sdk.middleware.request import identify

__all__ = ["identify"]
