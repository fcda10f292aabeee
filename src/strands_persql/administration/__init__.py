"""What people do with stored sessions: list, read, search, fork, rewind, move, erase and check them."""
