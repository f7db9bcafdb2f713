-- read_sequences: the last values of the given sequences, without those that are locked or hidden
-- since: 15
-- params: sequences oid[]
-- columns: oid oid, last_value int8
-- locks: ROW EXCLUSIVE on each sequence, until the end of the transaction
-- source: PostgreSQL manual, 54.24 pg_sequences
-- One that has never been used has no value. The lock is the server's own, taken by the function; so
-- few sequences are read in one transaction.
SELECT s.seqrelid AS oid, pg_catalog.pg_sequence_last_value(s.seqrelid) AS last_value
FROM pg_catalog.pg_sequence s
WHERE s.seqrelid = ANY (%(sequences)s::oid[])
  AND pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.relation = s.seqrelid
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database())
      AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
