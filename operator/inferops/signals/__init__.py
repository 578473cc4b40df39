"""What is measured of replicas: counters as sources tell them, and what was counted between two moments."""
