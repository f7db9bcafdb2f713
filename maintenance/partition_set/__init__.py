"""What several subjects know of a partitioned table: bounds as time, fitness, its window."""
