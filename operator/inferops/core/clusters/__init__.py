"""A service over several clusters: which may hold it, how much is placed, what each is to have, what is told."""
