"""Keeps PostgreSQL databases healthy with nobody watching."""
