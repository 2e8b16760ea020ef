"""Rules: each looks at one trace, at records of many, or at all of it."""
