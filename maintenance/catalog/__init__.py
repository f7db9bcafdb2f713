"""Read the catalog into frozen observations, the only input of planners from the database."""
