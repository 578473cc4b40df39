"""Rates as Prometheus has counted them: a range query, asked of a server or saved as JSON, as steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util import Retry

from inferops.simulate.traces.lines import BadTrace, opened
from inferops.simulate.traces.rates import Step

POINTS = 10_000  # of one query; Prometheus refuses more than 11,000
MOST = 2_000_000  # points in all
SECONDS = 30.0  # for one answer
LARGEST = 256 * 2**20  # characters of a saved answer
QUERY = "sum(rate(inferops_gateway_arrivals_total[5m]))"


class Asks(Protocol):
    """What is needed of prometheus_api_client's PrometheusConnect."""

    def custom_query_range(self, query: str, start_time: datetime, end_time: datetime, step: str) -> Any: ...


def connected(url: str) -> PrometheusConnect:
    """A client of the server at `url`."""
    return PrometheusConnect(url.rstrip("/"), retry=Retry(0), timeout=int(SECONDS))


def ask(server: Asks, query: str, start: float, end: float, step: float) -> list[Step]:
    """The steps between two moments in Unix seconds, as many queries as they need. Raises BadTrace."""
    if end <= start or step <= 0:
        raise BadTrace(f"--start {start:g}, --end {end:g}, --step {step:g}: the end must come after the start")
    if (end - start) / step > MOST:
        raise BadTrace(f"--step: more than {MOST:,} points from --start to --end; choose a longer step")
    points: dict[int, float] = {}
    begin, some = start, POINTS * step
    while begin <= end:
        until = min(end, begin + some)
        _add(points, _asked(server, query, begin, until, step), start, step)
        begin = until + step
    return steps(points, step, "Prometheus", round((end - start) / step))


def read(path: Path) -> list[Step]:
    """The steps of a saved answer, that of /api/v1/query_range or its `result` alone. Raises BadTrace."""
    with opened(path) as file:
        try:
            text = file.read(LARGEST)
            answer = json.loads(text)
        except (ValueError, OSError, EOFError, RecursionError) as error:
            raise BadTrace(f"{path}: is no JSON: {error}; save what /api/v1/query_range answers") from error
    if isinstance(answer, dict):
        if answer.get("status") == "error":
            raise BadTrace(f"{path}: Prometheus refused the query: {answer.get('error')}; save the answer to another")
        data = answer.get("data")
        answer = data.get("result") if isinstance(data, dict) else None
    found = list(values(answer, str(path)))
    times = sorted({time for time, _ in found})
    if len(times) < 2:
        raise BadTrace(f"{path}: holds {len(times)} points in time; save the answer to a range query, not an instant's")
    step = min(after - before for before, after in pairwise(times))
    if (times[-1] - times[0]) / step > MOST:
        raise BadTrace(f"{path}: more than {MOST:,} points; save the answer to a query with a longer step")
    points: dict[int, float] = {}
    _add(points, found, times[0], step)
    return steps(points, step, str(path))


def steps(points: dict[int, float], seconds: float, who: str, last: int | None = None) -> list[Step]:
    """A step for each point. Where Prometheus has none, nobody asked: before a service's first request, it counts
    nothing. Raises BadTrace where it has none at all."""
    if not any(points.values()):
        raise BadTrace(f"{who}: no requests in the answer; choose a query such as {QUERY} and a time with requests")
    final = max(points) if last is None else last
    return [Step(seconds, points.get(at, 0.0)) for at in range(final + 1)]


def values(result: Any, who: str) -> Iterator[tuple[float, float]]:
    """Moments and rates of a range query's result. Raises BadTrace on anything else."""
    if not isinstance(result, list):
        raise BadTrace(f"{who}: is no answer to a range query; it has a list of series under data.result")
    for series in result:
        pairs = series.get("values") if isinstance(series, dict) else None
        if not isinstance(pairs, list):
            raise BadTrace(f"{who}: has a series without values; ask /api/v1/query_range, not /api/v1/query")
        for pair in pairs:
            try:
                time, rate = float(pair[0]), float(pair[1])
            except (TypeError, ValueError, IndexError, KeyError):
                raise BadTrace(f"{who}: {str(pair)[:60]!r} is no pair of a time and a number") from None
            if not math.isfinite(time) or rate < 0 or math.isinf(rate):
                told = f"{rate:g} requests a second at {time:.0f}; choose a query that counts requests, such as {QUERY}"
                raise BadTrace(f"{who}: {told}")
            if not math.isnan(rate):
                yield time, rate


def _add(points: dict[int, float], found: Iterable[tuple[float, float]], start: float, step: float) -> None:
    """Series are added up."""
    for time, rate in found:
        at = round((time - start) / step)
        points[at] = points.get(at, 0.0) + rate


def _asked(server: Asks, query: str, start: float, end: float, step: float) -> list[tuple[float, float]]:
    try:
        begin, until = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        return list(values(server.custom_query_range(query, begin, until, f"{step:g}"), "Prometheus"))
    except BadTrace:
        raise
    except PrometheusApiClientException as error:
        raise BadTrace(f"--query {query!r}: Prometheus refuses it: {' '.join(str(error).split())[:300]}") from error
    except (requests.JSONDecodeError, KeyError, TypeError) as error:
        raise BadTrace("--prometheus: what answers there is no Prometheus; give the URL of its API") from error
    except requests.RequestException as error:
        # Its text holds the URL, and that may hold a password.
        raise BadTrace(f"--prometheus: asking it failed ({type(error).__name__}); check the URL") from error
