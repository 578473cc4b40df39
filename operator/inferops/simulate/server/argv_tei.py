"""The command line of `text-embeddings-router`: what it means for the simulated server, and what is refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from inferops.core.facts import Precision
from inferops.core.replica import Replica
from inferops.simulate.model import CPU, Accelerator, Deployment
from inferops.simulate.server.argv_triton import MEMORY_SHARE, model_of
from inferops.simulate.server.options import Refusing, positive

# With a value, accepted and without effect.
_VALUES = """
revision tokenization-workers dtype pooling auto-truncate default-prompt-name default-prompt dense-path hf-api-token
hf-token uds-path huggingface-hub-cache payload-limit otlp-endpoint otlp-service-name prometheus-port
cors-allow-origin
"""


@dataclass(frozen=True, slots=True)
class TeiOptions:
    """What the server does, as its command line says it."""

    model: str
    name: str
    host: str
    port: int
    max_concurrent: int  # requests; more are refused
    batch_tokens: int
    batch_requests: int
    client_batch: int  # inputs of one request
    api_key: str | None


def parse_tei(argv: Sequence[str]) -> TeiOptions:
    """Read `argv`, with or without `text-embeddings-router`. Raises `StartFailure` with code 2."""
    words = list(argv[1:] if argv and argv[0].endswith("text-embeddings-router") else argv)
    found = _parser().parse_args(words)
    return TeiOptions(
        model=found.model_id,
        name=found.served_model_name or found.model_id,
        host=found.hostname,
        port=found.port,
        max_concurrent=found.max_concurrent_requests,
        batch_tokens=found.max_batch_tokens,
        batch_requests=found.max_batch_requests or found.max_concurrent_requests,
        client_batch=found.max_client_batch_size,
        api_key=found.api_key,
    )


def deployment_of(options: TeiOptions, accelerator: Accelerator, present: int) -> Deployment:
    """The model on one accelerator, on the CPU where there is none: at 16 bit, however it is stored."""
    chosen, named = accelerator if present else CPU, model_of(options.model)
    replica = Replica(named.facts, chosen.spec, precision=Precision.BF16, utilization=MEMORY_SHARE)
    return Deployment(replica, chosen.name, named.facts.context, guessed=named.guessed)


def _parser() -> argparse.ArgumentParser:
    parser = Refusing(
        prog="text-embeddings-router", usage="text-embeddings-router [OPTIONS]", allow_abbrev=False, add_help=False
    )
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--served-model-name")
    parser.add_argument("--hostname", default="0.0.0.0")
    parser.add_argument("--port", "-p", type=int, default=3000)
    parser.add_argument("--max-concurrent-requests", type=positive, default=512)
    parser.add_argument("--max-batch-tokens", type=positive, default=16384)
    parser.add_argument("--max-batch-requests", type=positive)
    parser.add_argument("--max-client-batch-size", type=positive, default=32)
    parser.add_argument("--api-key")
    parser.add_argument("--json-output", action="store_true")
    parser.add_argument("--disable-spans", action="store_true")
    for name in _VALUES.split():
        parser.add_argument(f"--{name}", nargs="?" if name == "auto-truncate" else None)
    return parser
