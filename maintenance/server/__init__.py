"""Sessions on a PostgreSQL server, their safety checks, and the library of SQL files."""
