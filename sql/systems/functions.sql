-- functions: what the rows of the example systems are made with, for this session only
-- since: 15
-- Rows come from hashes of their numbers, not from random(), so that the same numbers give the
-- same rows on every server, in whatever order they are made.

-- From 0 up to but not including 1: one number for each row and each purpose.
CREATE OR REPLACE FUNCTION pg_temp.chance(n bigint, purpose bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(n, purpose) & 4503599627370495) / 4503599627370496.0::double precision;

-- From 1 to count, small ones more often: one in ten rows has the first hundredth of them.
CREATE OR REPLACE FUNCTION pg_temp.pick(n bigint, purpose bigint, count bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1 + floor(count * pg_temp.chance(n, purpose) ^ 2)::integer;

-- One of some words, small places more often.
CREATE OR REPLACE FUNCTION pg_temp.word(n bigint, purpose bigint, words text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN words[1 + floor(cardinality(words) * pg_temp.chance(n, purpose) ^ 1.5)::integer];

-- From the start of 2024 until then, later ones more often.
CREATE OR REPLACE FUNCTION pg_temp.moment(n bigint, purpose bigint, until timestamptz)
    RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_timestamp(
        1704067200 + floor(
            (extract(epoch FROM until) - 1704067200) * sqrt(pg_temp.chance(n, purpose)) * 1000
        ) / 1000
    );

-- The id of a row that others refer to.
CREATE OR REPLACE FUNCTION pg_temp.id(kind integer, n bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex(kind), 8, '0') || '-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid;

-- The id of a row that none refers to.
CREATE OR REPLACE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN md5(kind || n)::uuid;
