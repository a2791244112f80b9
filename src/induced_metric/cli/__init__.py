"""The command line; only the scripts at the root and the console script import it."""
