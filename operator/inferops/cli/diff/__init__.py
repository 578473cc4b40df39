"""`inferops diff`: what applying a file would change, and what would come of it."""
