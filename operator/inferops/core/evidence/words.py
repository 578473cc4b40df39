"""What a metric's evidence says, for people."""

from __future__ import annotations

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import AnalysisSpec
from inferops.api.rolloutstatus import Counts, MetricStatus

USUAL = "what 39 of 40 took before"  # the limit where there is no SLO


def sentence(metric: MetricStatus, apart: str, spec: AnalysisSpec, slo: SLOSpec) -> str:
    """Counts of both versions and what they prove. `apart` is the pod of the canary that stands out, if one does."""
    limits = {"ttft": slo.ttft or USUAL, "tpot": slo.tpot or USUAL}
    bad = f"beyond {limits[metric.name]}" if metric.name in limits else "failed"
    canary, stable = metric.canary, metric.stable
    shares = f"{_percent(canary)} of {canary.total:,} {bad}, stable {_percent(stable)} of {stable.total:,}"
    points = f"the {100 * spec.margin:.3g} points of margin"
    proof = f"{1 / spec.alpha:.3g} is proof"
    worse, no_worse = f"{metric.e_value:.3g}", f"{metric.e_no_worse:.3g}"
    replica = f"; most of it on {apart}" if apart else ""
    if metric.verdict == "Harm":
        return f"{shares}: worse (e = {worse}, {proof}){replica}"
    if metric.verdict == "NoWorse":
        return f"{shares}: no worse by {points} (e = {no_worse}, {proof}){replica}"
    if metric.e_value >= 1 / spec.alpha:
        return f"{shares}: worse at first (e = {worse}), less so lately{replica}"
    if metric.e_no_worse >= 1 / spec.alpha:
        return f"{shares}: no worse by {points}, but there are signs that it is worse (e = {worse}, {proof}){replica}"
    return (
        f"{shares}: undecided (e = {worse} that it is worse, {no_worse} that it is not by {points}, {proof}){replica}"
    )


def not_judged(why: str) -> str:
    """Why a metric is left out."""
    return f"not judged: {why}"


def _percent(counts: Counts) -> str:
    return f"{100 * counts.bad / counts.total:.3g} %"
