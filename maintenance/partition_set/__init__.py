"""Facts about a partitioned table for several subjects: bounds, validation, expected periods."""
