"""Dated price cards: resolve a card, rate a usage, explain it line by line. Pure."""
