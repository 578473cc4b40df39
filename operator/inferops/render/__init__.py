"""A Decision's Kubernetes objects, as plain dicts in the form in which the API server stores them."""

from __future__ import annotations

from inferops.render.record import Record, read_record, render_record
from inferops.render.revision import render_revision, with_replicas
from inferops.render.stable import render_stable

__all__ = [
    "Record",
    "read_record",
    "render_record",
    "render_revision",
    "render_stable",
    "with_replicas",
]
