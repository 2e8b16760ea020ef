"""Who may sign in: accounts, sessions, tokens of programs, and what they did."""
