"""The smallest fix of a finding, in the framework that was recognised."""
