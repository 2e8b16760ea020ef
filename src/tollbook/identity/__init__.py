"""Whose call is it? Read the carriers, resolve the owner; what a missing one gets. Pure."""
