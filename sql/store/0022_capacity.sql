-- How much of each limit was in use at each look, for the rate at which it is used up. The unit is
-- that of the limit: values of a sequence, bytes, locks. Only what is a tenth used or more is kept.
CREATE TABLE maintenance.capacity (
  taken_at timestamptz NOT NULL,
  database text NOT NULL,
  cliff text NOT NULL,
  object text NOT NULL,
  used double precision NOT NULL,
  ceiling double precision
) PARTITION BY RANGE (taken_at);
CREATE INDEX capacity_database_taken_at ON maintenance.capacity (database, taken_at);
