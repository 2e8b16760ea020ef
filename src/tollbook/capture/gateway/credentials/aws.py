"""Requests signed with AWS credentials, found and renewed by botocore as every AWS tool does."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import clock
from tollbook.capture.gateway.callers import missing_key
from tollbook.capture.gateway.credentials.base import KeyState
from tollbook.capture.gateway.credentials.bench import verdict_of
from tollbook.capture.gateway.credentials.held import Held
from tollbook.capture.gateway.credentials.readers import Found, Missing
from tollbook.capture.gateway.credentials.ring import fingerprint
from tollbook.capture.gateway.credentials.sigv4 import AwsKey, Scope, sigv4_lines

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from tollbook.capture.gateway.callers import Refusal
    from tollbook.capture.gateway.credentials.base import Unsigned
    from tollbook.capture.gateway.credentials.bench import Verdict

_SERVICE: Final = "bedrock"
_POLL_S: Final = 30.0
_region_in_host = re.compile(
    r"(?:^|\.)bedrock-runtime(?:-fips)?\.(?P<region>[a-z]+(-[a-z]+)+-\d)\."
).search


_NOT_INSTALLED: Final = "signing for AWS needs tollbook[bedrock] to be installed"


class _Botocore(NamedTuple):
    session: Any
    error: type[Exception]


def _botocore() -> _Botocore | None:
    try:
        from botocore.exceptions import (  # type: ignore[import-untyped]  # noqa: PLC0415 -- an extra
            BotoCoreError,
        )
        from botocore.session import (  # type: ignore[import-untyped]  # noqa: PLC0415 -- slow
            Session,
        )
    except ImportError:
        return None
    return _Botocore(Session, BotoCoreError)


class AwsIdentity:
    """Key and region together."""

    __slots__ = ("key", "scope")

    def __init__(self, key: AwsKey, region: str) -> None:
        self.key = key
        self.scope = Scope(region, _SERVICE)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AwsIdentity):
            return NotImplemented
        return self.key == other.key and self.scope == other.scope

    __hash__ = None  # type: ignore[assignment] # compared, never looked up


def region_of_host(host: str) -> str | None:
    """Return the region that a Bedrock host names (``bedrock-runtime.REGION.amazonaws.com``)."""
    match = _region_in_host(host)
    return None if match is None else match["region"]


class AwsReader:
    """Asks a botocore session, which knows variables, profiles, SSO, roles and metadata servers.

    botocore renews what expires by itself, well before it does, when it is asked.
    """

    poll_s = _POLL_S

    def __init__(self, profile: str | None, region: str | None) -> None:
        self.description = "aws " + (f"profile {profile}" if profile else "default credentials")
        self._profile = profile
        self._region = region
        self._session: Any = None

    def read(self, *, is_refused: bool) -> Found[AwsIdentity] | Missing | None:
        """Return the credentials of this moment."""
        botocore = _botocore()
        if botocore is None:
            return Missing(_NOT_INSTALLED)
        try:
            if self._session is None or is_refused:
                self._session = botocore.session(profile=self._profile)
            region = self._region or self._session.get_config_variable("region")
            credentials = self._session.get_credentials()
            if credentials is None:
                self._session = None
                return Missing(
                    "no AWS credentials were found in the environment, the configuration files or"
                    " a metadata server"
                )
            method = str(credentials.method or "default credentials")
            frozen = credentials.get_frozen_credentials()
        except botocore.error as error:
            self._session = None
            return Missing(f"AWS credentials cannot be had ({type(error).__name__})")
        if not region:
            return Missing("no AWS region is known; set aws_region")
        self.description = f"aws {method}" + (
            f" (profile {self._profile})" if self._profile else ""
        )
        key = AwsKey(frozen.access_key, frozen.secret_key, frozen.token)
        return Found(AwsIdentity(key, str(region)))

    def local(self) -> tuple[str, str]:
        """Return why no credentials can be found, and where some were, without asking anybody.

        A machine's own role is told by a metadata server, which only :meth:`read` asks.
        """
        botocore = _botocore()
        if botocore is None:
            return _NOT_INSTALLED, ""
        try:
            session = botocore.session(profile=self._profile)
            session.get_component("credential_provider").remove("iam-role")
            found = session.get_credentials()
        except botocore.error as error:
            return f"AWS credentials cannot be had ({type(error).__name__})", ""
        if found is None:
            return (
                "no AWS credentials are set, and the role of a machine is asked only by calls",
                "",
            )
        return "", f"AWS credentials ({found.method})"


class AwsSigned:
    """A signature of one request."""

    __slots__ = ("_signer", "lines")

    def __init__(self, signer: AwsSigner, lines: bytes) -> None:
        self._signer = signer
        self.lines = lines

    def answered(self, status: int, headers: Mapping[bytes, bytes]) -> None:  # noqa: ARG002 -- one key: nothing to spread
        """Look for newer credentials where these were refused."""
        self._signer.answered(verdict_of(status))


class AwsSigner:
    """Signs for one provider; see :class:`Signer`."""

    signs_body = True

    def __init__(self, provider: str, loop: asyncio.AbstractEventLoop, reader: AwsReader) -> None:
        self._provider = provider
        self._reader = reader
        self._held: Held[AwsIdentity] = Held(loop, reader, self._changed)
        self._waiting: list[Callable[[Refusal | None], None]] = []
        self._calls: dict[Verdict, int] = {"ok": 0, "refused": 0, "limited": 0}
        self._is_wanted = False

    def when_ready(self, then: Callable[[Refusal | None], None]) -> None:
        """Call back when there are credentials, or when none were found."""
        self._is_wanted = True
        if self._held.value is not None:
            then(None)
            return
        self._held.tick()
        if self._held.is_reading:
            self._waiting.append(then)
        else:
            then(missing_key(self._provider, self._held.problem))

    def sign(self, request: Unsigned) -> AwsSigned:
        """Sign a request now."""
        identity = self._held.value
        assert identity is not None
        now = datetime.fromtimestamp(clock.unix_ns() // clock.NS_PER_S, tz=UTC)
        amz_date = now.strftime("%Y%m%dT%H%M%SZ")
        return AwsSigned(self, sigv4_lines(request, identity.key, identity.scope, amz_date))

    def answered(self, verdict: Verdict) -> None:
        """Take what an answer said of the credentials."""
        self._calls[verdict] += 1
        if verdict == "refused":
            self._held.refused()

    def tick(self) -> None:
        """Renew what expires; nothing is looked for before the first call that needs it."""
        if self._is_wanted:
            self._held.tick()

    def states(self) -> list[KeyState]:
        """Return what may be shown: the fingerprint is of the access key id."""
        identity = self._held.value
        shown = "" if identity is None else fingerprint(identity.key.access_key_id)
        return [KeyState(self._reader.description, shown, dict(self._calls), is_benched=False)]

    def close(self) -> None:
        """Take no further reading."""
        self._held.close()

    def _changed(self) -> None:
        refusal = None
        if self._held.value is None:
            refusal = missing_key(self._provider, self._held.problem)
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then(refusal)
