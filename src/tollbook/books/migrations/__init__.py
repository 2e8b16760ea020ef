"""Alembic migrations of the books, run by :func:`tollbook.books.store.open_books`."""
