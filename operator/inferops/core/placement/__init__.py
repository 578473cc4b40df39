"""Where replicas go: over the clusters that may hold them, by constraints first and by cost then."""
