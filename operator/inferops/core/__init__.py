"""The decisions. Pure: no I/O, no clock, no kopf, no Kubernetes client; imports nothing but the API's models."""
