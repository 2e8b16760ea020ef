"""The pytest plugin ``tollbook``: a call without a tenant fails the test that makes it."""
