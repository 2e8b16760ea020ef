"""Run the migrations on the connection that :mod:`tollbook.books.store` hands over.

The connection is inside a transaction already, so an upgrade is done whole or not at all.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
