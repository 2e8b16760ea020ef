"""What is kept of a span's attributes: each module knows one kind of them."""
