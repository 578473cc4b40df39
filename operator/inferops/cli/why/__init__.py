"""`inferops why`: what was read of a service goes through a chain of policies; each has an explanation, or none."""
