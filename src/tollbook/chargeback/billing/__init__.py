"""Usage and charges to Stripe, Lago and OpenMeter."""
