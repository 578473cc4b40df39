"""What autoscalers are compared on: models, cold starts, and traces scaled so that they need a fleet worth scaling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flow import Case, bursty, by_second
from flow_curves import Curves, measure
from inferops.catalogue import accelerators
from inferops.catalogue.modeltable import built_in
from inferops.core.replica import Replica
from inferops.simulate.model import Deployment
from inferops.simulate.scaling.peers import PeerGoals
from inferops.simulate.scaling.scenario import EngineFigures
from inferops.simulate.traces import kinds

Floats = NDArray[np.float64]
DAY = 86400
CONTEXT = 16384  # tokens
ACCELERATOR = "nvidia-h100-80gb"
TUNED_DAYS = 7
PLANNED = 0.05  # share of requests that misses the SLO at what is called a replica's capacity
SMOOTH = 60  # seconds over which a trace of requests is a rate
WIDEST = 15.0  # coefficient of variation of a client's times; more tells of pauses, which the rates show by themselves
SURGE = 30.0  # seconds that a surge lasts, where a trace tells rates alone
REACH = 5  # times that, after which it is forgotten
GETTING_READY = 900  # seconds of a trace of requests that are played twice and counted once
BUSIEST = 600  # seconds whose mean rate is a trace's peak


class Model(NamedTuple):
    """A model and the GPUs of one replica."""

    title: str
    name: str
    gpus: int


MODELS = {
    "8b": Model("8B on one H100", "meta-llama/Llama-3.1-8B-Instruct", 1),
    "70b": Model("70B on four H100s", "meta-llama/Llama-3.3-70B-Instruct", 4),
}
COLDS = (60.0, 180.0, 600.0)
RATES = {"mid": "servegen-m-mid-rate-14d.csv", "small": "servegen-m-small-rate-14d.csv"}
HOURS = {"conv": "azure-llm-2023-conv.csv.gz", "code": "azure-llm-2023-code.csv.gz"}
CHAT = "conv"  # the trace whose sizes requests have where a trace tells rates alone


class Slo(NamedTuple):
    """What is promised, in seconds."""

    ttft: float
    tpot: float


# A coder's prompts are long and its answers a few tokens, between which the prompt of somebody else is computed: what
# would do for a chat has a replica of these models serve one request at a time.
SLOS = {
    ("8b", "conv"): Slo(1.0, 0.05),
    ("70b", "conv"): Slo(1.0, 0.05),
    ("8b", "code"): Slo(2.0, 0.2),
    ("70b", "code"): Slo(3.0, 1.0),
}


class Cell(NamedTuple):
    """One case of the comparison."""

    model: str
    trace: str
    cold: float  # mean seconds

    @property
    def long(self) -> bool:
        """Whether the trace is of two weeks: one to tune on, one to test on."""
        return self.trace in RATES

    @property
    def sizes(self) -> str:
        """The trace whose sizes its requests have."""
        return CHAT if self.long else self.trace

    @property
    def slo(self) -> Slo:
        return SLOS[self.model, self.sizes]

    @property
    def title(self) -> str:
        return f"{MODELS[self.model].title}, trace {self.trace}, cold start {self.cold:.0f} s"


@dataclass(frozen=True)
class Traffic:
    """A trace as rates: requests a second, and how many times their mean the variance of their count is, by second."""

    rates: Floats
    dispersions: Floats
    surge: float = 0.0  # seconds that a surge lasts; 0: none is longer than a second


@dataclass(frozen=True)
class Service:
    """A cell with what its replicas do and the traffic it gets."""

    cell: Cell
    curves: Curves
    goals: PeerGoals
    traffic: Traffic
    highest: int

    def arrivals(self, begin: int, end: int, seeds: int, first: int) -> Floats:
        """Requests by seed and second, of these seconds of the trace."""
        part, traffic = slice(begin, end), self.traffic
        draw = surging if traffic.surge else bursty
        return draw(traffic.rates[part], traffic.dispersions[part], seeds, first)

    def begin(self, at: int) -> int:
        """Replicas to begin with at that second."""
        return max(1, ceil(float(self.traffic.rates[at : at + SMOOTH].mean()) / (0.7 * self.goals.capacity)))

    def case(self, arrivals: Floats, at: int, warm: int) -> Case:
        """For the fluid model, from that second on; so many seconds do not count."""
        begin = self.begin(at)
        return Case(self.curves, self.cell.cold, arrivals, begin=begin, highest=self.highest, warm=warm)


def missing(folder: Path | None, cells: list[Cell]) -> str:
    """What has to be given so that these cells can be played; empty: nothing."""
    needed = sorted({_file(cell.trace) for cell in cells} | {HOURS[CHAT]})
    lacking = [name for name in needed if folder is None or not (folder / name).is_file()]
    if not lacking:
        return ""
    where = "no folder was given" if folder is None else f"{folder} lacks some"
    return (
        f"the traces are not in this repository and {where}: give a folder that holds {', '.join(lacking)} by --traces "
        "or INFEROPS_TRACES. Azure's are on GitHub (AzurePublicDataset, LLM inference 2023); the rates are sums over "
        "the clients of ServeGen's models m-mid and m-small by 600 s: start_s, requests_per_s, mean_client_cv"
    )


def _file(trace: str) -> str:
    return RATES.get(trace) or HOURS[trace]


def service(folder: Path, cache: Path, cell: Cell, replicas: float) -> Service:
    """The cell, its traffic scaled so that the busiest ten minutes to tune on need so many replicas.

    What replicas do is measured once and kept in `cache`. Raises BadTrace.
    """
    curves = measured(folder, cache, cell.model, cell.sizes)
    capacity, concurrency = curves.capacity(PLANNED)
    highest = ceil(4 * replicas)
    goals = PeerGoals(capacity, concurrency, *cell.slo, highest)
    traffic = scaled(folder / _file(cell.trace), cell.long, replicas * capacity)
    return Service(cell, curves, goals, traffic, highest)


@lru_cache(maxsize=8)
def scaled(path: Path, of_rates: bool, peak: float) -> Traffic:
    """A trace whose busiest minutes, of the days to tune on, have so many requests a second. Raises BadTrace."""
    traffic = read(path, of_rates)
    sums = np.cumsum(traffic.rates[: TUNED_DAYS * DAY])
    width = min(BUSIEST, len(sums) - 1)
    busiest = float((sums[width:] - sums[:-width]).max()) / width
    return replace(traffic, rates=traffic.rates * (peak / busiest))


def surging(rates: Floats, dispersions: Floats, seeds: int, first: int = 0) -> Floats:
    """Arrivals by seed and second: Poisson about a rate that surges and falls back within half a minute or so.

    Over minutes the variance of the counts is `dispersions` times their mean. That is what many clients together show,
    each with bursts of its own: within a second hardly any of it, as single requests of a burst are apart.
    """
    kernel = np.exp(-np.arange(REACH * SURGE) / SURGE)
    kernel /= np.sqrt((kernel**2).sum())
    spread = np.sqrt(np.log1p(np.maximum(dispersions - 1, 0.0) / (2 * SURGE * np.maximum(rates, 1e-9))))
    made = np.zeros((seeds, len(rates)))
    for seed in range(seeds):
        random = np.random.default_rng([first + seed, 11])
        noise = random.standard_normal(len(rates) + len(kernel) - 1)
        surges = np.exp(spread * np.convolve(noise, kernel, "valid") - spread**2 / 2)
        made[seed] = random.poisson(rates * surges)
    return made


def read(path: Path, of_rates: bool) -> Traffic:
    """A trace by second. Of requests, the rate is a mean over a minute and what is left says how bursty they are.

    Of those the first quarter of an hour comes twice, so that rules may get going before what counts. A client's times
    between requests have a coefficient of variation; counts vary by its square times their mean.
    """
    if of_rates:
        steps = kinds.steps(path)
        seconds = steps[0].seconds
        cvs = by_second([step.cv for step in steps], seconds)
        return Traffic(by_second([step.rate for step in steps], seconds), np.minimum(cvs, WIDEST) ** 2, SURGE)
    times = np.array([request.time for request in kinds.requests(path)()])
    counts = np.bincount((times - times[0]).astype(int)).astype(float)
    weights = np.ones(SMOOTH)
    rates = np.convolve(counts, weights, "same") / np.convolve(np.ones(len(counts)), weights, "same")
    dispersion = float(((counts - rates) ** 2).sum() / rates.sum())
    twice = np.concatenate([rates[:GETTING_READY], rates])
    return Traffic(twice, np.full(len(twice), dispersion))


def engine(model: str) -> EngineFigures:
    """One replica of a model."""
    facts = built_in(MODELS[model].name)
    assert facts is not None, MODELS[model].name
    replica = Replica(facts, accelerators()[ACCELERATOR], MODELS[model].gpus)
    deployment = Deployment(replica, ACCELERATOR, CONTEXT)
    batch = deployment.batch
    return EngineFigures(deployment.timing(), deployment.kv_tokens(), batch.sequences, batch.tokens)


def measured(folder: Path, cache: Path, model: str, sizes: str) -> Curves:
    """What a replica does with requests of a trace's sizes, from the cache where it was measured before."""
    figures = engine(model)
    path = folder / HOURS[sizes]
    slo = SLOS[model, sizes]
    mark = sha256(repr((figures, slo)).encode() + path.read_bytes() + _source()).hexdigest()[:12]
    kept = cache / f"curves-{model}-{sizes}-{mark}.json"
    if kept.exists():
        return Curves.load(kept)
    found = measure(figures, [(each.prompt, each.output) for each in kinds.requests(path)()], *slo)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{id(found):x}")
    found.save(unfinished)
    unfinished.rename(kept)
    return found


def _source() -> bytes:
    return Path(__file__).with_name("flow_curves.py").read_bytes()
