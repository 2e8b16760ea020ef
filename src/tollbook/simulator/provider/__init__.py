"""The simulated provider servers: their APIs, their HTTP, their faults."""
