"""The rule: from what was counted to replicas, and why.

Told in the order in which it happens: who tells nothing changes nothing; what was counted is learned from; what is
needed follows, now and when a replica that is begun now would be ready; more is had at once, fewer once they have been
enough for as long as a replica takes to come back, or bursts do. Replicas that start already are supply like any other,
so a slow start multiplies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp

from inferops.core.autoscale import candidates, limits, targets
from inferops.core.autoscale import capacity as learned
from inferops.core.autoscale.candidates import CANDIDATES, Asked
from inferops.core.autoscale.forecast import SIGNALS, Signal, observe
from inferops.core.autoscale.history import LONGEST, STARTS, History
from inferops.core.autoscale.terms import Fleet, Goals, Numbers, Reason, Seed, Signals
from inferops.core.load import Load

LOOK = 15.0  # seconds between two looks; a quarter of a cold start, where that is less
SOONEST = 5.0
GAP = 120.0  # seconds without a look after which what was smoothed begins anew
SHORTEST = 2.5  # seconds that must have been counted at first: a moment says nothing of a rate
SLACK = 0.1  # of a replica that the need may be beyond whole ones, and must be below them
DRAIN = (30.0, 120.0)  # seconds in which what waits is to be gone: a cold start, within these
PROMPT_TOKEN = 1 / 16  # of a token that is generated: what it costs an engine in a full batch, by the roofline
USUAL = 86400.0  # seconds, of the mean that a request's tokens are compared with
LATELY = 120.0  # seconds, of the mean of misses
HOUR = 3600.0
OVER = 5.0  # times the misses that are allowed, from which on they are the work of a peak
PEAK = 60.0  # seconds in which one is forgotten by half where nothing is missed
AFTERMATH = 600.0  # seconds for which misses are put down to one at the longest
ALARM = 0.05  # share of misses of late at which more are had although no more is asked for

WHY: dict[Reason, str] = {
    "Start": "as many as before: nothing was counted yet",
    "Steady": "as many as what is asked for needs",
    "Demand": "as many as what is asked for now needs",
    "Forecast": "as many as are needed once a replica that is begun now is ready",
    "Queue": "more, since requests wait",
    "Latency": "more, since requests miss the SLO although no more is asked for",
    "Idle": "fewer: what is asked for has needed fewer for long enough",
    "Held": "fewer would do now, and none goes until that has been so for {settle:g} s",
    "Minimum": "the minimum: what is asked for needs no more",
    "Maximum": "the maximum, though more are needed: raise spec.scaling.maxReplicas",
    "StepLimit": "as far as spec.scaling.scaleUp and scaleDown let it go at once",
}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Replicas, why, and what to remember."""

    replicas: int
    reason: Reason
    why: str  # for people; the same for as long as nothing changes
    numbers: Numbers
    history: History
    again: float  # seconds until the next look


def recommend(history: History, signals: Signals, goals: Goals, now: float) -> Recommendation:
    """Replicas that carry the load, within the goals' bounds. `now`: Unix seconds.

    A time before the last look's counts as the same. Nothing is decided from what is not known: without signals the
    number stays, within the bounds.
    """
    now = max(now, history.looked or now)
    history = _started(history, signals.fleet, now)
    load = signals.load
    kept = min(max(signals.fleet.wanted, goals.lowest), goals.highest)
    if load is None or load.seconds <= (0.0 if history.outlook.mean is not None else SHORTEST):
        quiet = history._replace(looked=now, begun=None if load is None else history.begun)
        reason: Reason = "NoSignals" if load is None else "Start"
        why = f"as many as before: {signals.why or WHY['Start']}" if load is None else WHY["Start"]
        return Recommendation(kept, reason, why, _numbers(history, goals, None, load), quiet, _again(history))
    history = history._replace(begun=load.until if history.begun is None else history.begun)
    history = _counted(history, load, signals.fleet, goals, signals.seed, now)
    need, reason, forecast, history = _need(history, load, signals.fleet, goals, now)
    replicas, reason, history = _bounded(history, need, reason, signals.fleet, goals, load.until, now)
    numbers = _numbers(history, goals, forecast, load)
    why = WHY[reason].format(settle=_settle(history, goals))
    return Recommendation(replicas, reason, why, numbers, history._replace(looked=now), _again(history))


def _again(history: History) -> float:
    return min(LOOK, max(SOONEST, history.cold_start / 4))


def _started(history: History, fleet: Fleet, now: float) -> History:
    """With the cold starts that were seen, and without what was learned of another kind of replica."""
    starts = (*history.starts, *(min(each, LONGEST) for each in fleet.started))[-STARTS:]
    fresh = history.looked is None or now - history.looked > GAP
    known = history.capacity
    if fleet.kind != history.kind and history.kind:
        # Plans are missed by as much as before, and bursts come again as they did.
        known = learned.Capacity(loads=known.loads, candidates=known.candidates)
    return history._replace(
        starts=starts,
        begun=None if fresh else history.begun,
        outlook=history.outlook._replace(mean=None) if fresh else history.outlook,
        needs=() if fresh else history.needs,
        capacity=known,
        kind=fleet.kind,
    )


def _counted(history: History, load: Load, fleet: Fleet, goals: Goals, seed: Seed | None, now: float) -> History:
    """With what this look counted: the plan from the looks before, then what is learned from this one."""
    known = learned.begin(history.capacity, _carried(seed) if seed is not None else None)
    known = learned.plan(known, now, goals.attainment, history.cold_start)
    judged, missed = _judged(load, fleet, goals)
    forgets, recent = 0.5 ** (load.seconds / HOUR), exp(-load.seconds / LATELY)
    history = history._replace(
        late=recent * history.late + (1 - recent) * (missed / judged if judged else 0.0),
        judged=history.judged * forgets + judged,
        missed=history.missed * forgets + missed,
    )
    # What another cluster answers would have missed the SLO here, and says that replicas do not carry so much.
    judged, missed = judged + load.spilled, missed + load.spilled
    each = load.demand * _work(history) / load.seconds / fleet.ready if fleet.ready else 0.0
    known = learned.proven(known, each, judged, missed)
    burst = history.outlook.burst
    planned = known.planned(burst)
    shock = learned.shock(planned or 0.0, burst)
    calm = fleet.ready > 0 and missed <= OVER * (1 - goals.attainment) * judged
    strained, peak = _strained(history, calm, each if fleet.ready else shock, load.seconds, now)
    if fleet.settled and not fleet.started and (calm or peak < shock):
        known = learned.served(known, each if calm else peak, judged, missed)
    if not calm and peak >= shock and now - (history.begun or now) > history.cold_start + 2 * LOOK:
        known = learned.shocked(known, missed)  # who was there before its first decisions is not its doing
    known = learned.met(known, burst, each, load.demand if fleet.wanted > goals.lowest else 0)
    known = known if calm else learned.stirred(known)
    tokens, usual = _tokens(history, load)
    return history._replace(
        capacity=known,
        tokens=tokens,
        usual_tokens=usual,
        strained=strained,
        peak=peak,
    )


def _strained(history: History, calm: bool, rate: float, seconds: float, now: float) -> tuple[float | None, float]:
    """Since when more miss the SLO than usual, and the highest rate a replica that this may be due to: what a peak has
    left waiting misses it later, when replicas get little, and is no word on what they carry."""
    if calm:
        return None, max(rate, rate + (history.peak - rate) * 0.5 ** (seconds / PEAK))
    since = now if history.strained is None else history.strained
    return since, max(rate, history.peak) if now - since <= AFTERMATH else rate


def _carried(seed: Seed) -> float:
    """Requests a second within the SLO, by sizing's word."""
    return seed.concurrency / max(seed.ttft + seed.tpot * seed.output_tokens, 1e-3)


def _judged(load: Load, fleet: Fleet, goals: Goals) -> tuple[float, float]:
    """Requests judged, and missed. Where nothing is promised, or nobody can judge it: those that come while more wait
    than may."""
    if load.judged and (goals.ttft is not None or goals.tpot is not None):
        return load.judged, load.missed
    crowded = load.waiting > goals.queue_depth * max(fleet.ready, 1)
    return load.arrivals, load.arrivals if crowded else min(load.missed, load.arrivals)


def _tokens(history: History, load: Load) -> tuple[float | None, float | None]:
    """How much work a request is, of late and usually: longer prompts and answers are more load, like more requests."""
    if not load.tokens_out or not load.ended:
        return history.tokens, history.usual_tokens
    each = (load.tokens_out + PROMPT_TOKEN * (load.tokens_in or 0)) / load.ended
    fast, slow = (1 - exp(-load.seconds / span) for span in (LATELY, USUAL))
    late, usual = history.tokens or each, history.usual_tokens or each
    return late + fast * (each - late), usual + slow * (each - usual)


def _work(history: History) -> float:
    """Times the usual work of a request."""
    if not history.tokens or not history.usual_tokens:
        return 1.0
    return min(max(history.tokens / history.usual_tokens, 0.5), 2.0)


def _need(
    history: History, load: Load, fleet: Fleet, goals: Goals, now: float
) -> tuple[float, Reason, float | None, History]:
    """Replicas needed, not whole; for what; the forecast in requests a second."""
    horizon = history.cold_start + LOOK
    rate = load.demand * _work(history) / load.seconds
    # By the burstiness known before now: else less load, coming as a surprise, could mean more replicas.
    planned = history.capacity.planned(history.outlook.burst)
    outlook, signals = observe(history.outlook, now, load.seconds, rate, horizon)
    history = history._replace(outlook=outlook)
    signal, _ = _followed(history)
    told = signals[SIGNALS.index(signal)]
    if goals.mode == "queueDepth":
        need, calm, crowd = targets.by_queue(history, load, fleet, goals)
        need = max(need, targets.by_spill(load, fleet))
        return need, "Queue" if need > fleet.ready else "Steady", told, history._replace(calm=calm, crowd=crowd)
    if goals.mode == "latency":
        need = max(targets.by_latency(load, fleet, goals), targets.by_spill(load, fleet))
        return need, "Latency" if need > fleet.ready else "Steady", told, history
    if planned is None:  # nobody has asked for anything yet
        return 0.0 if not (load.demand or load.in_flight or load.waiting) else 1.0, "Steady", told, history
    waits = max(0.0, load.waiting - goals.queue_depth * max(fleet.ready, 1))
    drain = min(max(history.cold_start, DRAIN[0]), DRAIN[1])
    history = _weighed(history, load, rate, goals, planned, signals, now)
    parts: list[tuple[float, Reason]] = [
        (told / planned, "Demand" if signal in ("mean", "height") or told <= outlook.rate else "Forecast"),
        ((told + waits / drain) / planned if waits else 0.0, "Queue"),
        (_alarm(history, load, fleet, goals, rate / planned), "Latency"),
    ]
    need, reason = max(parts, key=lambda part: part[0])
    return need, reason, told, history


def _followed(history: History) -> tuple[Signal, float]:
    """What is followed, and the seconds for which fewer must have been enough."""
    return CANDIDATES[candidates.followed(history.capacity.candidates, history.cold_start)]


def _weighed(
    history: History, load: Load, rate: float, goals: Goals, planned: float, signals: tuple[float, ...], now: float
) -> History:
    """With what other signals and windows would have led to."""
    known = history.capacity
    needs = tuple(min(max(ceil(each / planned - SLACK), goals.lowest), goals.highest) for each in signals)
    burst = history.outlook.burst
    asked = Asked(load.seconds, rate, needs, planned, burst, known.ends, learned.shock(planned, burst))
    return history._replace(capacity=learned.weighed(known, asked, history.cold_start, goals.settle, now))


def _alarm(history: History, load: Load, fleet: Fleet, goals: Goals, need: float) -> float:
    """Replicas where the SLO is missed although there are as many as are needed: they do not carry what was learned,
    and it takes a while to learn that anew."""
    late = min(history.late, load.missed / load.judged) if load.judged else 0.0
    if late < max(ALARM, 5 * (1 - goals.attainment)) or fleet.starting or fleet.ready < need:
        return 0.0
    return fleet.ready * (1 + min(late, 0.5))


def _bounded(
    history: History, need: float, reason: Reason, fleet: Fleet, goals: Goals, until: float, now: float
) -> tuple[int, Reason, History]:
    """Whole replicas within the bounds, as far as they may change now. `until`: what was counted up to."""
    wanted = fleet.wanted
    settle = _settle(history, goals)
    needs = limits.needed(history.needs, need, now, settle)
    changes = history.changes or ((now, wanted),)
    history = history._replace(needs=needs)
    replicas = ceil(need - SLACK)
    if replicas > wanted:
        most = limits.most(goals.up, changes, wanted, now)
        if most is not None and replicas > most:
            replicas, reason = most, "StepLimit"
    else:
        enough = ceil(max(max(each for _, each in needs) + SLACK, _carried_by(history, goals)))
        # The first look's word is no more than where evidence begins: it may be of seconds in which somebody stalled.
        early = until - (until if history.begun is None else history.begun) < settle
        replicas, reason = _fewer(changes, wanted if early else min(wanted, enough), wanted, replicas, goals, now)
    if replicas > goals.highest:
        replicas, reason = goals.highest, "Maximum"
    if replicas <= goals.lowest:
        replicas, reason = goals.lowest, "Minimum" if need <= goals.lowest else reason
    return replicas, reason, history._replace(changes=limits.changed(changes, replicas, now))


def _settle(history: History, goals: Goals) -> float:
    """Seconds for which fewer must have been enough."""
    if goals.settle is not None:
        return goals.settle
    return _followed(history)[1] if goals.mode == "auto" else targets.SETTLE


def _carried_by(history: History, goals: Goals) -> float:
    """Replicas below which more would miss the SLO than may, by what was seen. What is planned with may be beyond that
    where much of the day is quiet; to go there on purpose would be to swing around it."""
    carries = history.capacity.carries
    return history.outlook.rate / carries if goals.mode == "auto" and carries else 0.0


def _fewer(
    changes: limits.Changes, kept: int, wanted: int, would_do: int, goals: Goals, now: float
) -> tuple[int, Reason]:
    """How many are left of those that there are, where `would_do` would do now and `kept` have done for long enough."""
    if kept >= wanted:
        return wanted, "Held" if would_do < wanted else "Steady"
    least = limits.least(goals.down, changes, wanted, now)
    return (least, "StepLimit") if kept < least else (kept, "Idle")


def _numbers(history: History, goals: Goals, forecast: float | None, load: Load | None) -> Numbers:
    known = history.capacity
    carries = known.carries if goals.mode == "auto" else None
    planned = known.planned(history.outlook.burst)
    return Numbers(
        arrivals=load.demand / load.seconds if load is not None and load.seconds > 0 else None,
        forecast=forecast,
        capacity=carries,
        utilization=planned / carries if carries and planned is not None else None,
        cold_start=history.cold_start if history.starts else None,
        attainment=1 - history.missed / history.judged if history.judged >= 1 else None,
        waiting=load.waiting if load is not None else 0,
    )
