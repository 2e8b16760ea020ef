"""Products that the auditor's rules had never seen: other frameworks, names and ways to lose it."""
