"""The verdict on a canary: what one more window adds to the evidence, metric by metric and over all of them.

Harm is shown where the mean of the metrics' evidence reaches 1/alpha. A mean of e-processes is one, however the metrics
depend on each other, so a canary that is not worse in any of them is rolled back with a probability of at most alpha,
over the whole rollout with all its looks. What that takes for granted: within a window, requests of an arm are bad
independently of each other, or clumped as `dispersion` sees it, and the number of requests says nothing of how many are
bad. Nothing is assumed of how shares change over time, as long as they do so for both versions.

That there is no harm beyond the margin must be shown for every metric, at the weight that is in force. While there are
signs of harm, short of proof, the canary stays where it is; the more requests it gets, the fewer signs are borne. Most
versions that are worse by less than the margin are found so.

A canary's caches are cold. Beyond `analysis.warmUp` a new replica may have more late requests, by an allowance that
halves with every so many requests that it served: harm in a latency is harm beyond that. And it must be there lately.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import AnalysisSpec, Metric
from inferops.api.rolloutstatus import AnalysisStatus, Counts, MetricStatus, Verdict
from inferops.core.evidence import bets, words
from inferops.core.evidence.arms import Arms, Seen, seen
from inferops.core.evidence.memory import Memory
from inferops.core.signal import Window

MOST = 1e12  # beyond that, evidence is just plenty
COLD = 0.25  # share of late requests that a replica with empty caches is allowed beyond stable's
COLD_HALF_LIFE = 50.0  # requests after which it is allowed half of that
SIGNS = 1.5  # evidence of harm with which it never advances from half of the requests on
CAUTION = 3.0  # the most that dispersion takes from the evidence that there is no harm
ENOUGH_PROOF = 10.0  # times what is proof of no harm: more is not remembered
ENOUGH = 8  # canary requests that make a window worth judging
PATIENCE = timedelta(seconds=30)  # and how long it may grow until it has them
KNOWS_USUAL = "gateway"  # who judges latencies by what is usual where there is no SLO


def judge(before: AnalysisStatus, window: Window, arms: Arms, spec: AnalysisSpec, slo: SLOSpec) -> AnalysisStatus:
    """`before` and what `window` adds to it.

    A window that ends no later than what was judged changes nothing, and neither does a short one with few requests:
    it is judged once it has grown, since stable's requests tell more beside more of the canary's.
    """
    if (judged := _moment(before.until)) is not None and window.until <= judged:
        return before
    known = {metric.name: metric for metric in before.metrics}
    found = {name: seen(window, arms, name) for name in spec.metrics}
    most = max((one.block.canary for one in found.values() if one is not None), default=0)
    if most < ENOUGH and window.until - window.since < PATIENCE:
        return before
    metrics = [
        _metric(known.get(name) or MetricStatus(name=name), found[name], window.source, spec, slo)
        for name in spec.metrics
    ]
    return AnalysisStatus(
        source=window.source,
        until=window.until.isoformat(),
        verdict=_overall(metrics, window.source, spec, slo),
        metrics=metrics,
    )


def begin_step(before: AnalysisStatus) -> AnalysisStatus:
    """At a new weight: that it is no worse must be shown anew, evidence of harm is kept."""
    return before.model_copy(
        update={"metrics": [_at_a_new_weight(metric) for metric in before.metrics], "verdict": "NoData"}
    )


def without_data(before: AnalysisStatus, why: str) -> AnalysisStatus:
    """Nothing could be counted: what was decided stands, and where nothing was there is no data."""
    decided = before.verdict in ("Harm", "NoWorse")
    return before.model_copy(update={"message": why, "verdict": before.verdict if decided else "NoData"})


def _at_a_new_weight(metric: MetricStatus) -> MetricStatus:
    memory = (Memory.of(metric.memory) or Memory()).at_a_new_weight()
    verdict = "NotJudged" if metric.verdict == "NotJudged" else "NoData"
    return metric.model_copy(update={"memory": memory.numbers(), "e_no_worse": 1.0, "verdict": verdict})


def _metric(before: MetricStatus, found: Seen | None, source: str, spec: AnalysisSpec, slo: SLOSpec) -> MetricStatus:
    if _unset(before.name, slo) and (found is None or not found.told) and not before.stable.total:
        return _not_judged(before, _unknown(before.name, source))
    if found is None:
        return before
    if not found.told:
        return _not_judged(before, f"the counts of {source} do not tell of it for both revisions")
    block = found.block
    if block.canary == 0 or block.stable == 0:
        verdict = "NoData" if before.verdict == "NotJudged" else before.verdict
        return before.model_copy(update={"verdict": verdict})
    memory = Memory.of(before.memory)
    begun = before if memory is not None else MetricStatus(name=before.name)
    return _judged(begun, memory or Memory(), found, spec, slo)


def _judged(before: MetricStatus, memory: Memory, found: Seen, spec: AnalysisSpec, slo: SLOSpec) -> MetricStatus:
    """With a window in which both arms had requests."""
    block = found.block
    each = before.canary.total / len(found.canary)  # requests that a canary replica has served in the mean
    most = (ENOUGH_PROOF / spec.alpha) ** min(before.dispersion, CAUTION)
    memory = bets.after(memory, block, _allowance(before.name, each), min(spec.margin, 0.999), most)
    memory = replace(memory, spread=memory.spread.and_window(found.canary, found.stable))
    canary = _sum(before.canary, block.canary_bad, block.canary)
    stable = _sum(before.stable, block.stable_bad, block.stable)
    expected = stable.bad / stable.total * canary.total / len(found.canary)
    phi = memory.spread.phi(expected, len(found.canary))
    after = MetricStatus(
        name=before.name,
        canary=canary,
        stable=stable,
        e_value=_rounded(_discounted(memory.harm.wealth, phi)),
        e_no_worse=_rounded(_discounted(memory.no_worse, min(phi, CAUTION))),
        dispersion=max(1.0, _rounded(phi)),
        memory=memory.numbers(),
    )
    verdict = _verdict(after, block.canary / (block.canary + block.stable), spec.alpha)
    after = after.model_copy(update={"verdict": verdict})
    apart = memory.spread.apart([replica.pod for replica in found.canary])
    return after.model_copy(update={"message": words.sentence(after, apart, spec, slo)})


def _verdict(metric: MetricStatus, share: float, alpha: float) -> Verdict:
    """Of one metric alone, where the canary gets that share of the requests."""
    if metric.e_value >= 1 / alpha and _lately(metric):
        return "Harm"
    borne = max(SIGNS, alpha ** (share - 0.5))
    if metric.e_no_worse >= 1 / alpha and metric.e_value < borne:
        return "NoWorse"
    return "Undecided"


def _overall(metrics: list[MetricStatus], source: str, spec: AnalysisSpec, slo: SLOSpec) -> Verdict:
    """Of all. How many share the risk depends on the spec and on who counts, not on what was seen: a metric of which
    nothing is known yet has its share, too."""
    sharing = [metric for metric in metrics if source == KNOWS_USUAL or not _unset(metric.name, slo)]
    evidence = [metric.e_value if _lately(metric) else min(1.0, metric.e_value) for metric in sharing]
    if sharing and sum(evidence) / len(sharing) >= 1 / spec.alpha:
        return "Harm"
    verdicts = [metric.verdict for metric in sharing if metric.verdict != "NotJudged"]
    if not verdicts:
        return "NotJudged"
    if all(verdict == "NoWorse" for verdict in verdicts):
        return "NoWorse"
    return "NoData" if all(verdict == "NoData" for verdict in verdicts) else "Undecided"


def _lately(metric: MetricStatus) -> bool:
    """Whether what speaks for harm is still there: what errors did is done, slow caches get warm."""
    memory = Memory.of(metric.memory)
    if metric.name == "errorRate" or memory is None:
        return True
    recent = memory.recent
    if not (recent.canary and recent.stable and metric.canary.total and metric.stable.total):
        return False
    lately = recent.canary_bad / recent.canary - recent.stable_bad / recent.stable
    in_all = metric.canary.bad / metric.canary.total - metric.stable.bad / metric.stable.total
    return lately > max(0.0, in_all / 2)


def _allowance(name: Metric, served: float) -> float:
    """How many more requests of a canary's replica may be late than of stable's, after so many that it served."""
    if name == "errorRate":
        return 0.0
    allowed = COLD * 0.5 ** (served / COLD_HALF_LIFE)
    return allowed if allowed > 0.0001 else 0.0


def _discounted(wealth: float, phi: float) -> float:
    return min(MOST, wealth if wealth <= 1 else wealth ** (1 / phi))


def _moment(text: str) -> datetime | None:
    """What RFC 3339 says; None where it says nothing, since somebody edited it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _unset(name: Metric, slo: SLOSpec) -> bool:
    return (name == "ttft" and slo.ttft is None) or (name == "tpot" and slo.tpot is None)


def _unknown(name: Metric, source: str) -> str:
    if source == KNOWS_USUAL:
        return f"spec.slo.{name} is not set, and the gateway has seen too few requests to say what is usual"
    return f"spec.slo.{name} is not set, and {source} do not say what is usual"


def _not_judged(before: MetricStatus, why: str) -> MetricStatus:
    return before.model_copy(update={"verdict": "NotJudged", "message": words.not_judged(why)})


def _sum(before: Counts, bad: int, total: int) -> Counts:
    return Counts(bad=before.bad + bad, total=before.total + total)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
