"""Inspects a database that no policy describes yet, and proposes a policy for it."""
