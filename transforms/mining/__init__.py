"""Space-time mining: exact statistics, clusters and hot spots, the same for any partitioning."""
