"""Requests to simulate: read from published traces, drawn from rates, or by the rates that Prometheus has counted."""
