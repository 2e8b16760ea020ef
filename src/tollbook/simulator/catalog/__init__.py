"""The models on offer, one module a provider."""
