"""DDL recipes that several subjects share. Pure: they return finished SQL."""
