"""The gates of a rollout: which must be asked now, what they said, and whether all have passed."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.api.formats import seconds
from inferops.api.rollout import Gate
from inferops.api.rolloutstatus import GateStatus
from inferops.core.rollout import clocks
from inferops.core.rollout.turn import LONGEST, Turn
from inferops.core.rollout.view import GateWanted, gate_name

REMEMBERED = 16


def at(turn: Turn, weight: int) -> list[Gate]:
    """The gates that are asked at a weight; 0: before any request."""
    return [gate for gate in turn.view.spec.gates if weight in gate.at]


def told(turn: Turn, gate: Gate, weight: int) -> GateStatus | None:
    """What a gate has said so far."""
    return next((one for one in turn.state.gates if (one.name, one.weight) == (gate.name, weight)), None)


def passed(turn: Turn, weight: int) -> bool:
    """Whether all gates at a weight have passed."""
    return all((one := told(turn, gate, weight)) is not None and one.verdict == "Passed" for gate in at(turn, weight))


def ask(turn: Turn, weight: int) -> None:
    """Ask those that were not, and take down what the others say."""
    for gate in at(turn, weight):
        one = told(turn, gate, weight)
        if one is None:
            _note(turn, GateStatus(name=gate.name, weight=weight, since=clocks.stamp(turn.now), message=_asked(gate)))
        elif one.verdict == "Waiting" and not gate.manual:
            said = turn.view.gates.get(gate_name(turn.state, weight, gate.name))
            if said is not None:
                message = said.message[:LONGEST] or one.message
                _note(turn, one.model_copy(update={"verdict": said.verdict, "message": message}))


def waive(turn: Turn, weight: int, why: str) -> None:
    """Let all gates at a weight pass, whatever they would say."""
    for gate in at(turn, weight):
        one = told(turn, gate, weight)
        if one is None or one.verdict != "Passed":
            since = clocks.stamp(turn.now)
            _note(turn, GateStatus(name=gate.name, weight=weight, verdict="Passed", since=since, message=why))


def open_manual(turn: Turn, weight: int) -> bool:
    """Somebody opens the manual gate that is waited for. False: none is."""
    for gate in at(turn, weight):
        one = told(turn, gate, weight)
        if gate.manual and one is not None and one.verdict == "Waiting":
            _note(turn, one.model_copy(update={"verdict": "Passed", "message": "opened by hand"}))
            return True
    return False


def failed(turn: Turn, weight: int) -> GateStatus | None:
    """A gate that said no."""
    found = (told(turn, gate, weight) for gate in at(turn, weight))
    return next((one for one in found if one is not None and one.verdict == "Failed"), None)


def waiting(turn: Turn, weight: int) -> list[tuple[Gate, GateStatus]]:
    """The gates that have not said anything yet."""
    pairs = ((gate, told(turn, gate, weight)) for gate in at(turn, weight))
    return [(gate, one) for gate, one in pairs if one is not None and one.verdict == "Waiting"]


def overdue(turn: Turn, weight: int) -> Gate | None:
    """A gate that has taken longer to a verdict than it may. Nobody hurries a person."""
    for gate, one in waiting(turn, weight):
        if not gate.manual:
            rest = seconds(gate.wait) - turn.elapsed(one.since)
            if rest <= 0:
                return gate
            turn.wake(rest)
    return None


def ask_again(turn: Turn, weight: int) -> None:
    """Give those that have not said anything their time again."""
    for _, one in waiting(turn, weight):
        _note(turn, one.model_copy(update={"since": clocks.stamp(turn.now)}))


def wanted(turn: Turn, weight: int) -> tuple[GateWanted, ...]:
    """The gates that somebody must ask now, or keep asking."""
    return tuple(
        GateWanted(
            name=gate_name(turn.state, weight, gate.name),
            gate=gate,
            canary=turn.state.canary,
            stable=turn.stable,
            weight=weight,
            since=clocks.parse(one.since) or turn.now,
        )
        for gate, one in waiting(turn, weight)
        if not gate.manual
    )


def sentence(turn: Turn, weight: int) -> tuple[Reason, str]:
    """What is waited for."""
    named = [f"{gate.name} ({_kind(gate)})" for gate, _ in waiting(turn, weight)]
    when = f"at {weight} % of requests" if weight else "before the first request"
    by_hand = any(gate.manual for gate, _ in waiting(turn, weight))
    remedy = "; open it by `inferops rollout resume`" if by_hand else ""
    return Reason.GATE_WAITS, f"waits {when} for the gates {', '.join(named)}{remedy}"


def _kind(gate: Gate) -> str:
    return "by hand" if gate.manual else "webhook" if gate.webhook is not None else "Job"


def _asked(gate: Gate) -> str:
    return "waits to be opened by hand" if gate.manual else f"the {_kind(gate)} is asked"


def _note(turn: Turn, one: GateStatus) -> None:
    """In the place of what the same gate said before, else last."""
    gates, same = turn.state.gates, [(each.name, each.weight) == (one.name, one.weight) for each in turn.state.gates]
    noted = [one if is_same else each for each, is_same in zip(gates, same, strict=True)]
    turn.set(gates=(noted if any(same) else [*gates, one])[-REMEMBERED:])
