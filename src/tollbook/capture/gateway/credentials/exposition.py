"""Which keys there are and how they fare, as Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from tollbook.capture.gateway.provider import Upstream


def key_metrics(upstreams: Collection[Upstream]) -> bytes:
    """Return the metrics of all providers' keys; a key is named by its fingerprint only."""
    requests: list[str] = []
    benched: list[str] = []
    present: list[str] = []
    for upstream in upstreams:
        if upstream.plain_key is not None:
            key = upstream.plain_key
            labels = _labels(upstream.name, key.source, key.fingerprint)
            present.append(f"{{{labels}}} {int(key.lines is not None)}")
        if upstream.signer is None:
            continue
        for state in upstream.signer.states():
            labels = _labels(upstream.name, state.source, state.fingerprint)
            present.append(f"{{{labels}}} {int(bool(state.fingerprint))}")
            benched.append(f"{{{labels}}} {int(state.is_benched)}")
            requests += [f'{{{labels},outcome="{o}"}} {n}' for o, n in state.calls.items()]
    return b"".join(
        (
            _family("present", "gauge", "1 where a provider's key is there.", present),
            _family("benched", "gauge", "1 while a key is left alone.", benched),
            _family("requests_total", "counter", "Answers by what they say of the key.", requests),
        )
    )


def _family(name: str, kind: str, help_text: str, samples: list[str]) -> bytes:
    name = f"tollbook_gateway_provider_key_{name}"
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *[name + s for s in samples]]
    return "".join([f"{line}\n" for line in lines]).encode()


def _labels(provider: str, source: str, fingerprint: str) -> str:
    shown = source.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'provider="{provider}",source="{shown}",key="{fingerprint}"'
