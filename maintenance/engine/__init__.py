"""Actions, findings and plans; carrying them out safely; the protocol of a subject."""
