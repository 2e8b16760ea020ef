"""The data plane: connections, admission, metering of streams."""
