"""The kinds of maintenance, a package each."""
