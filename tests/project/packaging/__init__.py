"""The package as a whole, and what comes with it."""
