"""DDL that several subjects share. Pure functions that return finished SQL."""
