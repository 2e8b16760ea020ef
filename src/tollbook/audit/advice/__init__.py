"""Advice: for each way in which attribution is lost, the smallest change in each framework."""
