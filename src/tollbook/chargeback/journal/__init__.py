"""Journal entries: CSV with an account mapping, and beancount."""
