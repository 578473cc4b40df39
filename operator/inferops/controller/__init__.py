"""The operator's process: kopf's events, the queue, and observe -> decide -> apply."""
