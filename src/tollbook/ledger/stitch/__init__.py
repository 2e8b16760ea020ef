"""One call seen by several observers becomes one charge."""
