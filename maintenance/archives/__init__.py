"""Archives of partitions: written, proven by reading back, restored."""
