"""A live agent turned into rows, and rows into an agent: what the session manager and the hooks share."""
