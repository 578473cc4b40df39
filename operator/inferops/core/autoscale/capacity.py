"""What is learned of one kind of replica: what it carries within the SLO, and how much of that to plan with.

Two histograms do it. `misses` says which share of requests missed the SLO at which rate a replica: its capacity. The
other says how far the rate that a replica got was from what was planned for it (`staffing`). The rates to plan with are
the cheapest for which both together predict no more misses than the objective allows; so a steady service runs its
replicas hot and a jumpy one keeps room, and nobody tunes either. Both forget, by half in days.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from inferops.core.autoscale import candidates, staffing
from inferops.core.autoscale import misses as missing
from inferops.core.autoscale.candidates import Asked, Candidates
from inferops.core.autoscale.misses import Bins, Curve, place_of, rate_of
from inferops.core.autoscale.staffing import CLASSES, HIGHEST, NO_LOADS, Loads

FIRST = 0.6  # share of the supposed capacity that is planned with at first
BEYOND = 1.5  # times the highest rate that was served well: where misses are supposed, if not further up
FORGETS_MISSES = 6 * 86400.0  # seconds; half-lives
FORGETS_LOADS = 4 * 86400.0
SOLVE = 60.0  # seconds between two looks for the rates to plan with
SELDOM = 480.0  # seconds, where they did not move: what was learned in days is hardly another a minute later
MOVED = 0.01  # share of a rate by which it has
ENOUGH = 200.0  # requests, before the first
SHOCK = 12  # bins above the plan that no calm load goes
FAR = 4.0  # times its burstiness that a bursty one goes at the most
DOWN, UP = 0.8, 1.15  # times, that one changes at most in one look for it
LEFT = 0.5  # of the misses that are allowed, at the least: what shocks leave to plans
LOST = 0.8  # share of misses at which no more is ended
MARGIN = 1.1  # times what is carried, that is planned with at the most
NO_MISSES: Bins = {}


class Capacity(NamedTuple):
    """What was learned of one kind of replica. Rates are requests a second of one replica."""

    knee: float | None = None  # where misses are supposed to begin, before any were seen; None: nothing is known yet
    told: bool = False  # by sizing
    plans: tuple[float, ...] = ()  # what is planned with, by class of burstiness; empty: nothing is known yet
    carries: float | None = None  # beyond which more miss the SLO than are allowed to
    ends: float = 0.0  # at the most; at that hardly any request meets the SLO
    misses: Bins = NO_MISSES
    loads: Loads = NO_LOADS
    solved: float | None = None  # when plans were last looked for, in Unix seconds
    attainment: float | None = None  # and for which
    pause: float = SOLVE  # seconds until they are looked for again: it takes most of what a look does
    curve: Curve | None = None  # of misses, as of then
    candidates: Candidates = Candidates()  # what is followed, and for how long replicas are kept

    def planned(self, burst: float) -> float | None:
        """What is planned with where the load is so bursty; None: nothing is known yet."""
        if not self.plans:
            return None
        (low, share), (high, rest) = staffing.kinds(burst)
        return float(self.plans[low] ** share * self.plans[high] ** rest)


def begin(before: Capacity, knee: float | None) -> Capacity:
    """With sizing's word, where it has one."""
    if knee is None or before.told:
        return before
    plans = before.plans if before.misses and before.plans else (FIRST * knee,) * CLASSES
    return before._replace(knee=knee, told=True, plans=plans, carries=before.carries or knee)


def shock(planned: float, burst: float) -> float:
    """The rate from which on planning with somewhat less would not have helped: beyond what so bursty a load does."""
    return planned * min(max(rate_of(SHOCK), exp(FAR * burst)), rate_of(HIGHEST))


def proven(before: Capacity, rate: float, judged: float, missed: float) -> Capacity:
    """Where sizing had no word: with misses supposed further up, since this rate was served well."""
    if before.told or rate <= 0 or missed > 0.01 * judged or BEYOND * rate <= (before.knee or 0.0):
        return before
    knee = BEYOND * rate
    plans = tuple(max(each, FIRST * knee) for each in before.plans or (0.0,) * CLASSES)
    return before._replace(knee=knee, plans=plans, carries=knee)


def served(before: Capacity, rate: float, judged: float, missed: float) -> Capacity:
    """Take in how many missed the SLO while replicas got `rate` each."""
    if rate <= 0 or not judged or not before.plans:
        return before
    return before._replace(misses=missing.booked(before.misses, rate, judged, missed))


def met(before: Capacity, burst: float, rate: float, requests: float) -> Capacity:
    """Take in that replicas got `rate` each where something else was planned. A shock is left out: all plans would
    become timid of it."""
    planned = before.planned(burst)
    if rate <= 0 or not requests or planned is None or rate >= shock(planned, burst):
        return before
    load = place_of(rate) - place_of(planned)
    return before._replace(loads=staffing.counted(before.loads, burst, load, requests))


def plan(before: Capacity, now: float, attainment: float, cold: float) -> Capacity:
    """Look for the rates to plan with anew, if it is time, and for what to follow. `attainment`: share of requests that
    is to meet the SLO; `cold`: seconds that a replica needs to start."""
    since = before.solved
    if since is None:
        return before._replace(solved=now, attainment=attainment)
    early = now - since < before.pause and attainment == before.attainment
    if early or not before.plans:
        return before
    made = _aged(before, now - since, now)._replace(attainment=attainment)
    if staffing.total(made.loads) < ENOUGH:
        return made
    allowed = 1 - attainment
    known = before.carries or max(before.plans)
    knee = max(made.knee or known, BEYOND * missing.proven(made.misses, allowed))
    curve = Curve(made.misses, knee)
    carries = curve.highest(max(allowed, 2 * missing.LEAST), known)
    # Beyond what is carried, much of the day being quiet would pay for misses at its busiest.
    top = place_of(MARGIN * carries)
    made = made._replace(knee=knee, carries=carries, ends=curve.highest(LOST, carries), curve=curve)
    made = _chosen(made, top, cold, now)
    shocked = made.candidates.missed / max(made.candidates.asked, 1.0)
    found = staffing.plans(made.loads, curve.at, top, max(allowed - shocked, LEFT * allowed))
    if made.candidates.at != before.candidates.at:
        return made._replace(plans=tuple(map(rate_of, found)), pause=SOLVE)
    steps = [min(max(rate_of(place) / was, DOWN), UP) for was, place in zip(before.plans, found, strict=True)]
    moved = any(abs(step - 1) > MOVED for step in steps)
    return made._replace(
        plans=tuple(was * step for was, step in zip(before.plans, steps, strict=True)),
        pause=SOLVE if moved else min(2 * before.pause, SELDOM),
    )


def _chosen(before: Capacity, top: float, cold: float, now: float) -> Capacity:
    """With the best of the candidates followed, if it is time to look for it; and with the loads that are known of
    it."""
    known, curve, attainment = before.candidates, before.curve, before.attainment
    if curve is None or attainment is None or not candidates.due(known, now):
        return before
    at = candidates.choose(known, curve.at, top, 1 - attainment, cold)
    if at == candidates.followed(known, cold):
        return before._replace(candidates=known._replace(chosen=now))
    return before._replace(candidates=known._replace(at=at, chosen=now), loads=candidates.by_class(known.each[at]))


def stirred(before: Capacity) -> Capacity:
    """With the rates to plan with to be looked for soon: something happened that may move them."""
    return before._replace(pause=SOLVE)


def weighed(before: Capacity, asked: Asked, cold: float, settle: float | None, now: float) -> Capacity:
    """Take in what each of the candidates would have cost and missed."""
    curve = before.curve
    if curve is None:
        return before

    def misses(rate: float) -> float:
        return curve.at(place_of(rate))

    return before._replace(candidates=candidates.counted(before.candidates, asked, misses, cold, settle, now))


def shocked(before: Capacity, missed: float) -> Capacity:
    """Take in how many missed the SLO by a shock."""
    if before.curve is None:
        return before
    known = before.candidates
    return before._replace(candidates=known._replace(missed=known.missed + missed))


def _aged(before: Capacity, seconds: float, now: float) -> Capacity:
    by = 0.5 ** (seconds / FORGETS_MISSES)
    misses = {place: (judged * by, missed * by) for place, (judged, missed) in before.misses.items()}
    fades = 0.5 ** (seconds / FORGETS_LOADS)
    return before._replace(
        misses=misses,
        loads=staffing.aged(before.loads, fades),
        candidates=candidates.aged(before.candidates, fades),
        solved=now,
    )
