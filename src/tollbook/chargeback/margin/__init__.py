"""Revenue beside cost."""
