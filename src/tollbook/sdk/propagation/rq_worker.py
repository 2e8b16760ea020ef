"""The RQ worker that carries identity: ``rq worker --worker-class`` takes its name.

The library is needed to import this module, as to run a worker at all.
"""

from __future__ import annotations

from rq import SimpleWorker as PlainSimpleWorker
from rq import Worker as PlainWorker

from tollbook.sdk.propagation.rq import instrument

instrument()


class Worker(PlainWorker):
    """A worker that forks for each job."""


class SimpleWorker(PlainSimpleWorker):
    """A worker that runs jobs in its own process."""
