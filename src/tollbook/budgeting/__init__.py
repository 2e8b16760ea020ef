"""Budgets as people keep them: documents with versions, top-ups, where each stands, what-if."""
