"""What the sums say: changes and their causes, skew, forecast, waste."""
