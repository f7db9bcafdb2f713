"""Draining a default partition: its rows are copied, and the copies take its place at once.

Rows are copied into private tables, first with their changes logged, then with each change
mirrored by the writer's own transaction. When rows and copies are proven the same and no older
snapshot is left, one short transaction that writes no row exchanges the tables. At no moment does
a reader of the parent miss a row or see one twice, and nothing is deleted, so nothing cascades.
"""
