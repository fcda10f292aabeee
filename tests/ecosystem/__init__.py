"""Sessions among other software: the real packages that agents are used with, each against the package as it is.

Nothing here reaches a network. Under `scripts/ecosystem` all of these packages are installed, and a missing one is a
failure; elsewhere a module whose packages are not installed is skipped. `needed` decides it, at the top of a module.
"""
