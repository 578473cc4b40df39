"""What the machine says of its processors and its memory, as far as Linux tells."""

from __future__ import annotations

import os

from inferops.simulate.metrics_triton import Host


def host() -> Host:
    """The machine now. The share of busy processors is the load average over their number, which is close enough."""
    page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    free = os.sysconf("SC_AVPHYS_PAGES")
    busy = min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return Host(cpu_utilization=busy, memory_total=page * pages, memory_used=page * (pages - free))
