"""Access tokens of Google Cloud, for Vertex AI: an account's or the machine's own."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from tollbook.capture.gateway.credentials.readers import NEVER_S, Found, Missing

if TYPE_CHECKING:
    from pathlib import Path

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S: Final = 10.0


class GoogleReader:
    """Makes a new token whenever the last one is about to expire (after an hour, as a rule)."""

    poll_s = NEVER_S

    def __init__(self, file: Path | None) -> None:
        self.description = f"google {file or 'application default credentials'}"
        self._file = file
        self._credentials: Any = None

    def read(self, *, is_refused: bool) -> Found[str] | Missing | None:
        """Return a fresh token; asks Google's token server, or the metadata server."""
        try:
            import google.auth  # noqa: PLC0415 -- an extra, and slow to load
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
            from google.auth.transport.requests import Request  # noqa: PLC0415
        except ImportError:
            return Missing('auth = "google" needs tollbook[vertex] to be installed')
        try:
            if self._credentials is None or is_refused:
                self._credentials = self._loaded(google.auth)
            transport = Request()
            self._credentials.refresh(
                lambda *args, **kwargs: transport(*args, **{**kwargs, "timeout": _TIMEOUT_S})
            )
        except (GoogleAuthError, OSError, ValueError) as error:
            self._credentials = None
            # The kind only: such texts may quote what a token server answered.
            return Missing(f"{self.description} gave no token ({type(error).__name__})")
        expiry = self._credentials.expiry  # in UTC, without a zone
        expires_at_s = None if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Found(str(self._credentials.token), expires_at_s)

    def _loaded(self, auth: Any) -> Any:
        if self._file is None:
            found, _ = auth.default(scopes=[_SCOPE])
        else:
            from google.oauth2.service_account import Credentials  # noqa: PLC0415 -- an extra

            found = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                str(self._file), scopes=[_SCOPE]
            )
        return found
