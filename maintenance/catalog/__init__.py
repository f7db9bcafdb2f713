"""Frozen observations of a database: the only view of the catalog that planners have."""
