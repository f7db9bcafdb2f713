"""The list of subjects, in the order in which one run takes them."""

from maintenance.engine.subject import Subject
from maintenance.partitions import PARTITIONS

SUBJECTS: tuple[Subject, ...] = (PARTITIONS,)
