"""The list of subjects, in the order in which one run takes them."""

from maintenance.engine.subject import Subject
from maintenance.partitions import PARTITIONS
from maintenance.retention import RETENTION

SUBJECTS: tuple[Subject, ...] = (PARTITIONS, RETENTION)
