"""Starts, watches and stops the processes of tollbook up."""
