"""Small relational truth: virtual keys and the price cards that were used."""
