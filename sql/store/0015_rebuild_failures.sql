-- What a failed rebuild leaves is known by the indexes that its table had before; why it failed
-- is told until the next try.
ALTER TABLE maintenance.rebuild
  ADD COLUMN table_oid oid,
  ADD COLUMN indexes_before oid[],
  ADD COLUMN error text;
