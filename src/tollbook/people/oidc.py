"""OpenID Connect: the authorization code flow with PKCE, and what is checked of an answer.

OpenID Connect Core 1.0 section 3.1, Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the
answer). An ID token counts only if it is signed by a key of the provider with an algorithm that is
allowed, is meant for us, answers this very request, and is not too old.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from msgspec import Struct

from tollbook import clock
from tollbook.people.errors import OidcError
from tollbook.people.oidc_provider import ProviderReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config.people import Oidc
    from tollbook.people.oidc_provider import Provider

_SKEW_S: Final = 60
_SUBJECT_MAX_CHARS: Final = 255
_CODE_MAX_CHARS: Final = 4096
_ERROR_MAX_CHARS: Final = 64
_SECRET_MAX_CHARS: Final = 4096


class Started(Struct, frozen=True, kw_only=True):
    """A sign-in under way, remembered in the browser that began it; signed, see the login pages."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    then: str
    """Path to go to afterwards."""
    until_ns: int


class Person(Struct, frozen=True, kw_only=True):
    """Who the provider says somebody is."""

    issuer: str
    subject: str
    claims: dict[str, Any]


class OidcClient:
    """This installation as a client of one provider.

    Args:
        settings: of ``[oidc]``; the issuer is set.
        environ: where the client's secret may be.
    """

    def __init__(self, settings: Oidc, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self._reader = ProviderReader(settings)

    def begin(self, redirect_uri: str, then: str, until_ns: int) -> tuple[str, Started]:
        """Return the provider's URL to send a browser to, and what to remember until it is back.

        Raises:
            OidcError: the provider cannot be read.
        """
        provider = self._reader.provider()
        started = Started(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48), redirect_uri=redirect_uri, then=then,
            until_ns=until_ns,
        )  # fmt: skip
        asked = {
            "response_type": "code", "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri, "scope": " ".join(self.settings.scopes),
            "state": started.state, "nonce": started.nonce,
            "code_challenge": _challenge(started.verifier),
            "code_challenge_method": "S256",
        }  # fmt: skip
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return f"{provider.authorization_endpoint}{joint}{urlencode(asked)}", started

    def finish(self, started: Started, answer: Mapping[str, str]) -> Person:
        """Return who has signed in.

        Args:
            started: what was remembered in this browser.
            answer: the query that the provider sent the browser back with.

        Raises:
            OidcError: the person was refused there, or something about the answer is not as it
                must be; nobody is signed in.
        """
        if not hmac.compare_digest(started.state.encode(), answer.get("state", "").encode()):
            raise OidcError("the answer belongs to another sign-in; begin again")
        if clock.unix_ns() > started.until_ns:
            raise OidcError("the sign-in took too long; begin again")
        provider = self._reader.provider()
        told = answer.get("iss")
        if told != provider.issuer and (told is not None or provider.sends_issuer):
            raise OidcError("the answer comes from another provider")  # RFC 9207
        if "error" in answer:
            raise OidcError(f"the provider refused: {_word(answer['error'])}")
        code = answer.get("code", "")
        if not code or len(code) > _CODE_MAX_CHARS:
            raise OidcError("the provider sent no code")
        asked = self._asked(code, started)
        tokens = self._reader.tokens(provider, self.settings.client_id, self._secret(), asked)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise OidcError("the provider sent no ID token")
        claims = self._checked(provider, id_token, started.nonce)
        if provider.userinfo_endpoint and isinstance(access_token, str):
            further = self._reader.userinfo(provider, access_token)
            # Section 5.3.2: claims about somebody else are worth nothing.
            if further.get("sub") != claims["sub"]:
                raise OidcError("the provider's userinfo is about somebody else")
            claims = further | claims
        return Person(issuer=provider.issuer, subject=claims["sub"], claims=claims)

    def sign_out_url(self, back: str) -> str | None:
        """Return where people sign out at the provider too; None where it offers none.

        Raises:
            OidcError: the provider cannot be read.
        """
        endpoint = self._reader.provider().end_session_endpoint
        if endpoint is None:
            return None
        asked = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def _asked(self, code: str, started: Started) -> dict[str, str]:
        return {
            "grant_type": "authorization_code", "code": code,
            "redirect_uri": started.redirect_uri, "code_verifier": started.verifier,
        }  # fmt: skip

    def _secret(self) -> str | None:
        """Return the client's secret, read when it is needed, so that it may change.

        Raises:
            OidcError: it is not where the settings say.
        """
        name, path = self.settings.client_secret_env, self.settings.client_secret_file
        if path is not None:
            try:
                return Path(path).read_text(encoding="utf-8")[:_SECRET_MAX_CHARS].strip()
            except (OSError, UnicodeDecodeError) as error:
                raise OidcError(f"client_secret_file {path} cannot be read") from error
        if name is None:
            return None
        if not self._environ.get(name):
            raise OidcError(f"the variable {name} of client_secret_env is not set")
        return self._environ[name]

    def _checked(self, provider: Provider, id_token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token; section 3.1.3.7 in its order."""
        claims = self._signed(provider, id_token)
        if claims.get("iss") != provider.issuer:
            raise OidcError("the ID token comes from another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        client_id = self.settings.client_id
        party = claims.get("azp")
        if client_id not in audiences or (len(audiences) > 1 and party is None):
            raise OidcError("the ID token is meant for another client")
        if party is not None and party != client_id:
            raise OidcError("the ID token was given to another client")
        self._check_times(claims)
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise OidcError("the ID token answers another sign-in")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_MAX_CHARS:
            raise OidcError("the ID token names nobody")
        return claims

    def _signed(self, provider: Provider, id_token: str) -> dict[str, Any]:
        """Return the claims of a token with a good signature; new keys are fetched once."""
        allowed = list(self.settings.algorithms)
        for is_again in (False, True):
            try:
                keys = self._reader.keys(provider, is_again=is_again)
                return dict(jwt.decode(id_token, keys, algorithms=allowed).claims)
            except (JoseError, ValueError) as error:
                if is_again:
                    raise OidcError("the signature of the ID token is not good") from error
        raise AssertionError("the second try returns or raises")

    @staticmethod
    def _check_times(claims: Mapping[str, Any]) -> None:
        now_s = clock.unix_ns() // clock.NS_PER_S
        for name in ("exp", "iat"):
            at = claims.get(name)
            if not isinstance(at, (int, float)) or isinstance(at, bool):
                raise OidcError(f"the ID token has no {name}")
        if now_s >= claims["exp"] + _SKEW_S:
            raise OidcError("the ID token has expired")
        if now_s < max(claims["iat"], claims.get("nbf") or 0) - _SKEW_S:
            raise OidcError("the ID token is of the future; compare the clocks")


def _challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).decode().rstrip("=")


def _word(text: str) -> str:
    """Return an error code of RFC 6749, and nothing else that somebody may have put into a URL."""
    is_code = text.isascii() and text.replace("_", "").isalnum() and len(text) <= _ERROR_MAX_CHARS
    return text if is_code else "?"
