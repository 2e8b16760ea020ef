"""A product of four processes that sells answers to tenants; its README.md says what it shows."""
