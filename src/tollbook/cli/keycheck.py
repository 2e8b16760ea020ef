"""Whether each provider's key is there and where it comes from; never the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.capture.gateway.credentials.build import (
    aws_reader,
    readers_for,
    unset_variables,
    uses_aws,
)
from tollbook.capture.gateway.credentials.readers import Missing
from tollbook.cli.checkup import Finding
from tollbook.config.known_providers import KNOWN_NAMES
from tollbook.config.schema import default_providers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config import Config
    from tollbook.config.schema import Provider

_UNUSABLE = "virtual keys cannot use it"


def check_keys(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Read every provider's key as the gateway does: variables, files, commands, tokens."""
    return [
        finding
        for name, provider in sorted(config.providers.items())
        if not _is_unused(name, provider, environ)
        for finding in _check(f"provider {name}", provider, environ)
    ]


def _is_unused(name: str, provider: Provider, environ: Mapping[str, str]) -> bool:
    """Whether a provider that needs no configuration has none, and no key either."""
    if name not in KNOWN_NAMES or provider != default_providers().get(name):
        return False
    return bool(unset_variables(provider, environ))


def _check(check: str, provider: Provider, environ: Mapping[str, str]) -> list[Finding]:
    if uses_aws(provider, environ):
        problem, source = aws_reader(provider).local()
        if problem:
            return [Finding(check, "warn", f"{problem}: {_UNUSABLE}")]
        return [Finding(check, "ok", f"requests are signed with {source}")]
    readers = readers_for(provider, environ)
    if not readers:
        return [Finding(check, "ok", "no key of its own: callers bring theirs")]
    findings = []
    for reader, _ in readers:
        read = reader.read(is_refused=False)
        if isinstance(read, Missing):
            problem = read.problem.removeprefix("the environment variable ")
            findings.append(Finding(check, "warn", f"{problem}: {_UNUSABLE}"))
        elif reader.description.startswith("env "):
            findings.append(Finding(check, "ok", f"{reader.description[4:]} is set"))
        else:
            findings.append(Finding(check, "ok", f"a key was found: {reader.description}"))
    return findings
