"""The constants that turn what a step has to do into seconds, and where they come from.

`make bench-sizing` prints how far the predictions are from 2,800 measurements of vLLM, SGLang and TensorRT-LLM that
NVIDIA publishes with its sizing tool, with every family of models held out in turn; `python hack/bench_sizing.py --fit`
finds the constants anew. They are few on purpose: none is of one model, engine or accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Work(NamedTuple):
    """What one step has to do: seconds at the figures of the data sheet, then things that are counted."""

    weights: float  # seconds to read the weights
    cache: float  # seconds to read the KV cache and states of the decoding sequences
    arithmetic: float  # seconds of it outside of routed experts
    experts: float  # seconds of it in routed experts
    transfer: float  # seconds to send activations from one accelerator to another
    hops: float  # messages that wait for one another
    layers: float
    expert_layers: float
    latent_layers: float
    sequences: float  # that decode

    def mixed(self, other: Work, share: float) -> Work:
        """The mean of both, `share` of it the other's."""
        return Work(*(mine + share * (theirs - mine) for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Shares of the data sheet's figures that engines reach (0 to 1), and seconds of what no data sheet knows."""

    bandwidth: float = 0.95  # reading weights
    cache_bandwidth: float = 0.75  # reading the KV cache, which lies in blocks
    arithmetic: float = 0.88  # large matrix products
    expert_arithmetic: float = 0.19  # many small ones, and the fullest expert is waited for
    link: float = 0.48  # sums over all accelerators
    hop_seconds: float = 2.4e-6  # one message that others wait for, small as it may be
    layer_seconds: float = 57e-6  # launching and draining some ten kernels in turn
    expert_layer_seconds: float = 24e-6  # routing, sorting and gathering tokens by expert
    latent_layer_seconds: float = 19e-6  # latent attention's additional projections
    sequence_seconds: float = 8e-6  # sampling, and the engine's own work for each sequence and step

    def costs(self) -> Work:
        """What each unit of work costs, in seconds."""
        return Work(
            weights=1 / self.bandwidth,
            cache=1 / self.cache_bandwidth,
            arithmetic=1 / self.arithmetic,
            experts=1 / self.expert_arithmetic,
            transfer=1 / self.link,
            hops=self.hop_seconds,
            layers=self.layer_seconds,
            expert_layers=self.expert_layer_seconds,
            latent_layers=self.latent_layer_seconds,
            sequences=self.sequence_seconds,
        )

    def seconds(self, work: Work) -> float:
        """Seconds that `work` takes. Its parts follow one another: kernels hardly overlap within one step."""
        return sum(amount * cost for amount, cost in zip(work, self.costs(), strict=True))


CALIBRATED = Calibration()
IDEAL = Calibration(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # the data sheet and nothing else
