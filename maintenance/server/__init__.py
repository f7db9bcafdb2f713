"""Sessions on a PostgreSQL server, what it can do, and the library of SQL files."""
