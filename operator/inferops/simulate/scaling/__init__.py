"""Rules that decide how many replicas a simulated service has: our own, and those of other autoscalers."""
