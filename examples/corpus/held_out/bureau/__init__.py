"""A product on Flask, RQ and requests: a portal, a scorer of cases, a worker that files."""
