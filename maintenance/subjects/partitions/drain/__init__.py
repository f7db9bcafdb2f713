"""Drains a partition: copies its rows, then replaces it with the copies at once.

It is the default partition, whose rows get partitions of their own, or a partition that holds
several periods and is split.

Rows are copied into private tables while changes are logged; then each change is mirrored in the
writer's own transaction. When rows and copies are verified to be equal and no older snapshot is
left, one short transaction that writes no row exchanges the tables. A reader of the parent never
misses a row or sees one twice, and nothing is deleted, so nothing cascades.
"""
