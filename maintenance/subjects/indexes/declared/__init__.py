"""Declared indexes, constraints and generated columns: compared with the database and planned."""
