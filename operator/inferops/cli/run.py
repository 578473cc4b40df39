"""`inferops run`: the operator's process, its logs and its exit code."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from inferops.api.formats import seconds
from inferops.api.problems import problems
from inferops.api.traffic import GatewayRef
from inferops.cli.logs import Form, set_up
from inferops.controller.operator import Operator, Options
from inferops.controller.otlp import NotInstalled, traced
from inferops.controller.webhookhosts import DEFAULT, Hosts
from inferops.core.membership import Patience
from inferops.kube.clusterprofile import Provider, read_providers
from inferops.kube.lease import LeaseLost

log = logging.getLogger("inferops")


def gateway_in(text: str) -> GatewayRef | None:
    """The Gateway that `NAMESPACE/NAME` names; None of an empty text. Raises ValueError on anything else."""
    if not text:
        return None
    namespace, _, name = text.partition("/")
    try:
        return GatewayRef.model_validate({"name": name, "namespace": namespace})
    except ValidationError as error:
        told = "; ".join(problems(error))
        raise ValueError(f"{text!r} is not NAMESPACE/NAME, for example infra/public: {told}") from error


def hosts_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The patterns of hosts in `texts`, each of which may hold several with commas between; `off` stands for none.
    Raises ValueError on what is no pattern."""
    found = tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
    if found == ("off",):
        return ()
    Hosts(found)
    return found or DEFAULT


def prometheus_in(text: str) -> str | None:
    """The URL of a Prometheus; None of an empty text. Raises ValueError on anything else, and does not tell passwords
    that stand in it."""
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and not (url.query or url.fragment)
        sound = sound and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if text and not sound:
        raise ValueError("it is no URL of a Prometheus, for example http://prometheus.monitoring.svc:9090")
    return text or None


def patience_in(texts: tuple[str, str, str]) -> Patience:
    """How long silences of member clusters are borne: until one is suspect, is lost, and is believed again. Raises
    ValueError where they make no sense."""
    suspect, lost, stable = (seconds(text) for text in texts)
    if suspect < 1 or lost <= suspect:
        raise ValueError("a member is suspect after 1s at the least, and lost later than that")
    return Patience(suspect, lost, stable)


def providers_in(path: str) -> tuple[Provider, ...]:
    """The access providers of a file; none of an empty path. Raises ValueError on what is no such file."""
    return read_providers(Path(path)) if path else ()


def endpoint_in(text: str) -> str:
    """The base URL of a collector of traces; empty of an empty text. Raises ValueError on anything else, and does not
    tell passwords that stand in it."""
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and not (url.query or url.fragment)
        sound = sound and url.username is None and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if text and not sound:
        raise ValueError("it is no URL of a collector's OTLP/HTTP, for example http://collector.tracing.svc:4318")
    return text


def run(options: Options, log_level: str, log_format: Form = "text", otlp_endpoint: str = "") -> int:
    """Run until told to stop. Returns 0 after SIGTERM, 1 when the lease was lost or something broke, 2 for an option
    that cannot be."""
    level = set_up(log_level, log_format, [each.url for each in options.notify])
    if level is None:
        return 2
    if level > logging.DEBUG:  # kopf tells every watch and every event
        logging.getLogger("kopf").setLevel(logging.WARNING)

    async def main() -> None:
        operator = Operator(options)
        with traced(otlp_endpoint, operator.metrics.lost_spans):
            await operator.run()

    try:
        asyncio.run(main())
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 2
    except LeaseLost as error:
        log.error("%s; ending, so that only one replica writes", error)
        return 1
    except Exception:
        log.exception("the operator ends")
        return 1
    return 0
