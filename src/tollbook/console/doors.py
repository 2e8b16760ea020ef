"""What the console needs to let people in: one object, opened with the books, closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.books.signing_keys import signing_key
from tollbook.console.sessions import Recognised
from tollbook.people.access_log import AccessLog
from tollbook.people.sessions import Lives
from tollbook.people.throttle import Throttle
from tollbook.people.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.books.store import Books
    from tollbook.config import Config
    from tollbook.people.oidc import OidcClient

_HOUR_NS: Final = 3600 * clock.NS_PER_S


class Doors:
    """Sessions, tokens, throttle, single sign-on and the access log of one process.

    Args:
        books: where people are kept; stay open as long as this.
        config: the settings.
        environ: where the secret of single sign-on may be.
    """

    def __init__(self, books: Books, config: Config, environ: Mapping[str, str]) -> None:
        self.books, self.console = books, config.console
        self.lives = Lives(
            int(config.console.session_idle_h * _HOUR_NS),
            int(config.console.session_max_h * _HOUR_NS),
        )
        self.csrf_secret = signing_key(books, "csrf")
        self.throttle = Throttle()
        self.oidc_label = config.oidc.label
        self.oidc = _oidc(config, environ)
        self.accesses = AccessLog(books, config.console.access_log_days)
        self.recognised = Recognised(Visitors(books, self.lives, self.accesses), config.console)

    def start(self) -> None:
        """Begin to write what is noted."""
        self.accesses.start()

    def close(self) -> None:
        """Write what is noted, and stop."""
        self.accesses.close()


def _oidc(config: Config, environ: Mapping[str, str]) -> OidcClient | None:
    if config.oidc.issuer is None:
        return None
    # Only then imported: it needs the extra of that name.
    from tollbook.people.oidc import OidcClient  # noqa: PLC0415 -- see above

    return OidcClient(config.oidc, environ)
