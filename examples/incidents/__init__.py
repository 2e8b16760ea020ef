"""Alert rules tried on made-up troubles: how soon they are told, and what is told for nothing."""
