"""What runs have left in a database, and its removal: decided by the catalog, not by names."""
