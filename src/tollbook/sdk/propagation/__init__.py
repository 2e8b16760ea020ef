"""Identity from process to process: headers, messages, jobs, threads.

Each framework has a module of its own here, which imports it only when it is used.
"""

from tollbook.sdk.propagation.carrier import (
    extract,
    from_payload,
    inject,
    strip,
    to_payload,
    use_carrier,
)
from tollbook.sdk.propagation.hosts import may_receive

__all__ = [
    "extract",
    "from_payload",
    "inject",
    "may_receive",
    "strip",
    "to_payload",
    "use_carrier",
]
