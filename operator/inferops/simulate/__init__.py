"""Simulated engines: how long an accelerator takes to serve, and servers that behave and report like the real ones."""
