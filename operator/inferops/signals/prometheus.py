"""What Prometheus has scraped of the pods: for each metric one query for all services together, of bare counters.

Series are found by the labels `namespace` and `pod`, as the Prometheus operator and the usual scrape configurations set
them. A pod that is scraped twice counts once.
"""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util import Retry

from inferops.signals.reading import LABELS, Reading, Sample, Target, names_of, read, readout

BODY = 32 * 2**20  # bytes of an answer; some 200,000 series
CHUNK = 2**16
ANSWER = 4  # seconds for one query
ROUND = 10.0  # seconds for all
QUERY = 12_000  # characters of a query that name pods
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
TARGETS = "job, instance, endpoint, service, container, prometheus, prometheus_replica, replica"  # who scraped

K = TypeVar("K", bound=Hashable)
Pod = tuple[str, str]  # namespace and name


class Unanswered(Exception):
    """Prometheus does not tell. The message is for people, and holds no address: there may be a password in it."""


class _Session(requests.Session):
    """Sends queries as a form, since they may be long, and reads so much of an answer and for so long, no more."""

    def request(  # type: ignore[override]
        self, method: str, url: str, params: Any = None, **more: Any
    ) -> requests.Response:
        until = time.monotonic() + ANSWER
        more.update(allow_redirects=False, stream=True)
        with super().request("POST", url, data=params, **more) as response:
            body = bytearray()
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                body += chunk
                if len(body) > BODY:
                    raise Unanswered(f"it answers more than {BODY // 2**20} MiB")
                if time.monotonic() > until:
                    raise Unanswered("it does not answer in time")
            response.raw = io.BytesIO(body)
            response.content  # noqa: B018 - read before the connection goes back
        return response


class Prometheus:
    """Asks one server, or whatever speaks as it does. To be closed."""

    def __init__(self, url: str) -> None:
        self._client = PrometheusConnect(
            url.rstrip("/"),
            headers={"Accept-Encoding": "identity"},
            retry=Retry(0),
            session=_Session(),
            timeout=ANSWER,
        )
        self._thread = ThreadPoolExecutor(1, "prometheus")
        self._asking: asyncio.Future[Any] | None = None

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def read(self, targets: Mapping[K, Target]) -> dict[K, Reading | str]:
        """What Prometheus tells of each service's pods, or why it tells nothing. Never raises."""
        if self._asking is not None and not self._asking.done():
            return dict.fromkeys(targets, "Prometheus does not answer in time")
        asking = asyncio.get_running_loop().run_in_executor(self._thread, self._all, dict(targets))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody has to look at it
        self._asking = asking
        try:
            return await asyncio.shield(asking)
        except Unanswered as error:
            return dict.fromkeys(targets, f"Prometheus does not tell: {error}")

    def _all(self, targets: Mapping[K, Target]) -> dict[K, Reading | str]:
        """What there is of each service, in a thread, since this may take a while. Raises Unanswered."""
        found = self._samples(_wanted(targets.values()))
        answers: dict[K, Reading | str] = {}
        for key, target in targets.items():
            told = {pod: found.get((target.namespace, pod), ()) for pod in target.pods}
            readouts = {pod: readout(each, target.metrics) for pod, each in told.items() if each}
            reading = read(readouts, target.metrics, target.ttft, target.tpot)
            answers[key] = reading if readouts else "Prometheus has no metrics of its pods"
        return answers

    def _samples(self, wanted: Mapping[str, set[Pod]]) -> dict[Pod, list[Sample]]:
        """The samples of each pod, by one query a name. Raises Unanswered."""
        until = time.monotonic() + ROUND
        found: dict[Pod, list[Sample]] = {}
        for name, pods in sorted(wanted.items()):
            for some in chunks(pods):
                if time.monotonic() > until:
                    raise Unanswered("it does not answer in time")
                for pod, sample in samples(name, self._ask(query(name, some))):
                    if pod in pods:
                        found.setdefault(pod, []).append(sample)
        return found

    def _ask(self, text: str) -> Any:
        """The answer to one query. Raises Unanswered."""
        try:
            return self._client.custom_query(text, params={"timeout": f"{ANSWER}s"})
        except (requests.Timeout, ReadTimeoutError) as error:
            raise Unanswered("it does not answer in time") from error
        except requests.ConnectionError as error:
            raise Unanswered("there is no connection to it") from error
        except PrometheusApiClientException as error:
            raise Unanswered(" ".join(str(error).split())[:200]) from error
        except (requests.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
            raise Unanswered("its answer is none of Prometheus") from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise Unanswered(f"asking it failed: {type(error).__name__}") from error


def _wanted(targets: Iterable[Target]) -> dict[str, set[Pod]]:
    """The pods whose samples of each name are wanted."""
    wanted: dict[str, set[Pod]] = {}
    for target in targets:
        pods = {(target.namespace, pod) for pod in target.pods if NAME.fullmatch(pod)}
        for name in names_of(target):
            if METRIC.fullmatch(name) and NAME.fullmatch(target.namespace):
                wanted.setdefault(name, set()).update(pods)
    return wanted


def chunks(pods: Iterable[Pod]) -> Iterator[list[Pod]]:
    """Pods in pieces that one query can name."""
    some: list[Pod] = []
    length = 0
    for namespace, pod in sorted(pods):
        more = len(namespace) + len(pod) + 2
        if some and length + more > QUERY:
            yield some
            some, length = [], 0
        some.append((namespace, pod))
        length += more
    if some:
        yield some


def query(name: str, pods: Iterable[Pod]) -> str:
    """The counters of a metric, added up for each pod over whatever labels the engine adds. Of a pod that several
    scrape, who is furthest counts."""
    namespaces = "|".join(sorted({namespace for namespace, _ in pods}))
    these = "|".join(sorted({pod for _, pod in pods})).replace(".", "[.]")
    kept = ", ".join(("namespace", "pod", *LABELS))
    selector = f'{{__name__="{name}",namespace=~"{namespaces}",pod=~"{these}"}}'
    return f"max by ({kept}) (sum by ({kept}, {TARGETS}) ({selector}))"


def samples(name: str, answer: Any) -> Iterator[tuple[Pod, Sample]]:
    """The samples of an answer, and whose they are; what is none is passed over."""
    for each in answer if isinstance(answer, list) else ():
        try:
            labels, (_, value) = each["metric"], each["value"]
            pod, number = (str(labels["namespace"]), str(labels["pod"])), float(value)
            kept = {label: str(labels[label]) for label in LABELS if label in labels}
        except (KeyError, TypeError, ValueError):
            continue
        yield pod, (name, kept, number)
