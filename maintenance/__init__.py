"""Unattended PostgreSQL maintenance, orchestrated by Dagster."""
