"""What a PromQL expression reads and gives, by a real parser: metrics that exist, and labels that they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser as promql

COMPARED = ("and", "unless", "or")
VARIABLES = {"$__rate_interval": "1m", "$namespace": "chat", "$service": "llama", "$cluster": ".*"}


def filled(expr: str) -> str:
    """An expression of a panel as Grafana would ask it."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


@dataclass
class Check:
    """Looks through expressions. `known`: the labels of every sample, by its name; `target`: those of every scrape."""

    known: Mapping[str, frozenset[str]]
    target: frozenset[str]
    wrong: list[str] = field(default_factory=list)

    def labels(self, expr: str) -> frozenset[str]:
        """The labels of what it gives."""
        return self._of(promql.parse(expr)) or frozenset()

    def _of(self, node: Any) -> frozenset[str] | None:
        """None: it is a number, without labels to match by."""
        match node:
            case promql.NumberLiteral() | promql.StringLiteral():
                return None
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self._of(node.expr)
            case promql.VectorSelector():
                return self._selected(node)
            case promql.MatrixSelector():
                return self._selected(node.vector_selector)
            case promql.AggregateExpr():
                return self._aggregated(node)
            case promql.Call():
                return self._called(node)
            case promql.BinaryExpr():
                return self._joined(node)
        raise AssertionError(f"an expression of a kind that is not looked through: {type(node).__name__}")

    def _selected(self, node: Any) -> frozenset[str]:
        if node.name not in self.known:
            self.wrong.append(f"nobody tells {node.name}")
            return frozenset()
        found = self.known[node.name] | self.target
        self._within(frozenset(each.name for each in node.matchers.matchers), found, f"{node.name}{{}}")
        return found

    def _aggregated(self, node: Any) -> frozenset[str]:
        inner = self._of(node.expr) or frozenset()
        if str(node.op) in ("topk", "bottomk"):
            return inner
        if node.modifier is None:
            return frozenset()
        by = frozenset(node.modifier.labels)
        self._within(by, inner, f"{node.op} by")
        return inner - by if node.modifier.type == promql.AggModifierType.Without else by

    def _called(self, node: Any) -> frozenset[str] | None:
        found = [self._of(each) for each in node.args]
        name = node.func.name
        if name == "histogram_quantile":
            self._within(frozenset(("le",)), found[1] or frozenset(), name)
            return (found[1] or frozenset()) - {"le"}
        if name in ("time", "scalar"):
            return None
        if name == "absent":
            return frozenset()
        return next((each for each in found if each is not None), frozenset())

    def _joined(self, node: Any) -> frozenset[str] | None:
        left, right = self._of(node.lhs), self._of(node.rhs)
        if left is None or right is None:
            return left if right is None else right
        modifier = node.modifier
        matching = modifier.matching if modifier is not None else None
        if matching is None:
            if left != right:
                self.wrong.append(f"{node.op}: {sorted(left)} never matches {sorted(right)}")
            return left
        assert matching.type == promql.LabelModifierType.Include, "ignoring() breaks with every new label; use on()"
        on = frozenset(matching.labels)
        self._within(on, left, f"{node.op} on, left")
        self._within(on, right, f"{node.op} on, right")
        if str(node.op) in COMPARED:
            return left
        if modifier.card == promql.VectorMatchCardinality.ManyToOne:
            added = frozenset(modifier.group_labels or ())
            self._within(added, right, "group_left")
            return left | added
        return on

    def _within(self, some: frozenset[str], all_: frozenset[str], where: str) -> None:
        if some - all_:
            self.wrong.append(
                f"{where}: no label {', '.join(sorted(some - all_))}; there are {', '.join(sorted(all_))}"
            )


def legend_labels(legend: str) -> Iterator[str]:
    """The labels that a legend names."""
    return (part.split("}}")[0] for part in legend.split("{{")[1:])
