-- What is known of a table's archives is asked for at every look. Nothing that changes later is in
-- the index, so that outcomes are still written in place.
CREATE INDEX journal_archives ON maintenance.journal (table_name)
 WHERE kind = 'archive_partition';
