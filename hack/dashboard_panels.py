"""The panels of the dashboards: what each asks Prometheus, in which unit, and whether it always has an answer.

State is told by the operator's leader alone, and while another one takes over two may be heard for a moment: `state`
takes the maximum by the labels that matter before anything is added up. Gateways each count their own requests, which
are added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

OWN = 'namespace="$namespace", service="$service"'
HERE = 'cluster=~"$cluster"'
RATE = "$__rate_interval"
TOKENS = 1_000_000

Unit = Literal["short", "reqps", "s", "percentunit", "currencyUSD", "bytes", "cps", "ops"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    about: str = ""
    stat: bool = False  # the newest value as a number, not a line over time
    stacked: bool = False
    sometimes: bool = False  # whether there may be nothing to show, such as refusals; else a running service has data


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard, by the name of its file."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: dict[str, str] = field(default_factory=dict[str, str])  # by name: the metric whose label it is

    def panels(self) -> Iterator[Panel]:
        return (panel for row in self.rows for panel in row.panels)


def state(metric: str, match: str, *by: str) -> str:
    """A gauge of the operator by some of its labels."""
    return f"max by ({', '.join(by)}) ({metric}{{{match}}})"


def rate(metric: str, match: str = OWN, *by: str) -> str:
    """A counter of all gateways, or of all operators, a second."""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}{{{match}}}[{RATE}]))"


def quantile(share: float, histogram: str, match: str = OWN, *by: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', match, 'le', *by)})"


def with_role(expr: str) -> str:
    """Something by revision, with the part that the revision has: stable, canary, previous or retiring."""
    roles = state("inferops_service_revision_weight_ratio", OWN, "revision", "role")
    return f"({expr}) * on (revision) group_left (role) ({roles} >= bool 0)"


def replicas(what: str) -> str:
    return f"sum({state(f'inferops_service_replicas{what}', OWN, 'cluster', 'revision', 'role')})"


def dollars(match: str, *by: str) -> str:
    """US dollars an hour of services."""
    grouped = f" by ({', '.join(by)})" if by else ""
    labels = ("namespace", "service", "cluster", "accelerator", "spot")
    return f"sum{grouped} ({state('inferops_service_cost_usd_per_hour', match, *labels)})"


def million(match: str) -> str:
    """US dollars for a million tokens: what the service costs over what the gateways saw answered; by an encoder,
    which answers none, over what it read."""
    out, read = rate("inferops_gateway_output_tokens_total", match), rate("inferops_gateway_input_tokens_total", match)
    return f"{dollars(match)} / 3600 * {TOKENS} / ({out} > 0 or {read} > 0)"


def missed(match: str, *by: str) -> str:
    judged = rate("inferops_gateway_slo_judged_total", match, *by)
    return f"{rate('inferops_gateway_slo_missed_total', match, *by)} / ({judged} > 0)"


def quantiles(histogram: str) -> tuple[Query, ...]:
    return tuple(Query(quantile(share, histogram), f"p{round(100 * share)}") for share in (0.5, 0.95, 0.99))


def threshold(objective: str) -> Query:
    limit = state("inferops_service_slo_threshold_seconds", f'{OWN}, objective="{objective}"', "objective")
    return Query(limit, "SLO")


READY = "inferops_service_replicas_ready"
HELD = "inferops_service_accelerators"
TTFT = "inferops_gateway_time_to_first_token_seconds"
TPOT = "inferops_gateway_inter_token_latency_seconds"
ERRORS = f'{OWN}, objective="errors"'
ROLE = "{{role}} {{revision}}"

SERVICE = Dashboard(
    "service",
    "inferops / Service",
    "One InferenceService: what is asked of it, how fast it answers, its replicas, its rollout and its money.",
    (
        Row(
            "Now",
            (
                Panel("Replicas ready", (Query(replicas("_ready")),), stat=True),
                Panel("Replicas wanted", (Query(replicas("_wanted")),), stat=True),
                Panel("Requests a second", (Query(rate("inferops_gateway_requests_total")),), "reqps", stat=True),
                Panel("US dollars an hour", (Query(dollars(OWN)),), "currencyUSD", stat=True),
                Panel("US dollars a million tokens", (Query(million(OWN)),), "currencyUSD", stat=True),
                Panel(
                    "Rollout",
                    (Query(state("inferops_service_rollout_phase", OWN, "phase"), "{{phase}}"),),
                    stat=True,
                    about="The phase that the rollout is in.",
                ),
            ),
        ),
        Row(
            "Traffic",
            (
                Panel(
                    "Requests by status code",
                    (Query(rate("inferops_gateway_requests_total", OWN, "code"), "{{code}}"),),
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Errors",
                    (Query(missed(ERRORS), "of attempts at replicas"),),
                    "percentunit",
                    "Share of attempts that failed. A retry may have spared the client.",
                ),
                Panel(
                    "Refused",
                    (
                        Query(
                            rate("inferops_gateway_refused_requests_total", OWN, "code", "reason"),
                            "{{code}} {{reason}}",
                        ),
                    ),
                    "reqps",
                    "Turned away by the gateway before a replica was asked.",
                    sometimes=True,
                ),
                Panel(
                    "Tokens a second",
                    (
                        Query(rate("inferops_gateway_input_tokens_total"), "read"),
                        Query(rate("inferops_gateway_output_tokens_total"), "answered"),
                    ),
                ),
            ),
        ),
        Row(
            "Speed",
            (
                Panel("Time to first token", (*quantiles(TTFT), threshold("ttft")), "s", "The wait included."),
                Panel(
                    "Time per output token",
                    (*quantiles(TPOT), threshold("tpot")),
                    "s",
                    "Between two chunks of a stream.",
                ),
                Panel(
                    "Beyond the SLO",
                    (
                        Query(missed(OWN, "objective"), "{{objective}}"),
                        Query(
                            f"{rate('inferops_gateway_client_slo_missed_total')} / "
                            f"({rate('inferops_gateway_client_slo_judged_total')} > 0)",
                            "as clients saw it",
                        ),
                    ),
                    "percentunit",
                ),
                Panel(
                    "Queue",
                    (
                        Query(f"sum(inferops_gateway_requests_waiting{{{OWN}}})", "waiting"),
                        Query(f"sum(inferops_gateway_requests_in_flight{{{OWN}}})", "in flight, with those"),
                    ),
                ),
                Panel("Wait for a replica", quantiles("inferops_gateway_queue_wait_seconds"), "s"),
            ),
        ),
        Row(
            "Replicas",
            (
                Panel(
                    "Replicas wanted and had",
                    (
                        Query(replicas("_wanted"), "wanted"),
                        Query(replicas(""), "there"),
                        Query(replicas("_ready"), "ready"),
                        Query(state("inferops_service_scaling_max_replicas", OWN, "service"), "at most"),
                    ),
                ),
                Panel(
                    "Why so many",
                    (Query(state("inferops_service_scaling_reason", OWN, "mode", "reason"), "{{mode}}: {{reason}}"),),
                    sometimes=True,
                ),
                Panel(
                    "Replicas ready by cluster",
                    (
                        Query(
                            f"sum by (cluster) ({state(READY, OWN, 'cluster', 'revision')})",
                            "{{cluster}}",
                        ),
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Canary against stable",
            (
                Panel(
                    "Share of requests",
                    (
                        Query(state("inferops_service_revision_weight_ratio", OWN, "role", "revision"), ROLE),
                        Query(
                            with_role(
                                f"{rate('inferops_gateway_requests_total', OWN, 'revision')} / on () group_left () "
                                f"({rate('inferops_gateway_requests_total')} > 0)"
                            ),
                            f"{ROLE}, counted",
                        ),
                    ),
                    "percentunit",
                ),
                Panel("Errors by revision", (Query(with_role(missed(ERRORS, "revision")), ROLE),), "percentunit"),
                Panel(
                    "Time to first token by revision, p95",
                    (Query(with_role(quantile(0.95, TTFT, OWN, "revision")), ROLE),),
                    "s",
                ),
                Panel(
                    "Time per output token by revision, p95",
                    (Query(with_role(quantile(0.95, TPOT, OWN, "revision")), ROLE),),
                    "s",
                ),
            ),
        ),
        Row(
            "Money",
            (
                Panel(
                    "Accelerators",
                    (
                        Query(
                            "sum by (accelerator, state) "
                            f"({state(HELD, OWN, 'cluster', 'accelerator', 'spot', 'state')})",
                            "{{accelerator}} {{state}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel("US dollars an hour by cluster", (Query(dollars(OWN, "cluster"), "{{cluster}}"),), "currencyUSD"),
                Panel(
                    "Cost of a million tokens",
                    (Query(million(OWN), "US dollars"),),
                    "currencyUSD",
                    "What its accelerators cost over the tokens that were answered; of an encoder, that were read.",
                ),
            ),
        ),
    ),
    {"namespace": "inferops_service_info", "service": "inferops_service_info"},
)


def stock(what: str, *by: str) -> str:
    """Accelerators of clusters, or their cost: in total, or those that are used or idle."""
    grouped = f" by ({', '.join(by)})" if by else ""
    labels = ("cluster", "accelerator", "spot", "state")
    return f"sum{grouped} ({state('inferops_cluster_' + what, HERE, *labels)})"


def idle(what: str, *by: str) -> str:
    grouped = f" by ({', '.join(by)})" if by else ""
    metric = state(f"inferops_cluster_{what}", f'{HERE}, state="idle"', "cluster", "accelerator", "spot")
    return f"sum{grouped} ({metric})"


def pending(*by: str) -> str:
    """Accelerators of replicas that have no node. Where nobody waits nothing is told: that is 0."""
    labels = ("namespace", "service", "cluster", "accelerator", "spot")
    match = f'{HERE}, state="pending"'
    waiting = f"sum by (cluster) ({state('inferops_service_accelerators', match, *labels)})"
    every = f"({waiting} or 0 * {stock('accelerators', 'cluster')})"
    return every if by else f"sum({every})"


ALL = 'namespace!=""'  # of requests, those that name a service
BY_CLUSTER = "{{cluster}}"
CONDITION, READINESS = "inferops_service_condition", 'condition="Ready"'
PLACED = "inferops_service_placement"
SERVICE_STATE = ("namespace", "service", "status")
SERVICE_PLACE = ("namespace", "service", "cluster", "state")

FLEET = Dashboard(
    "fleet",
    "inferops / Fleet",
    "All clusters: their accelerators, who uses them, what waits for some, and what all that costs.",
    (
        Row(
            "Now",
            (
                Panel("Accelerators", (Query(stock("accelerators")),), stat=True),
                Panel("Idle", (Query(idle("accelerators")),), stat=True),
                Panel("Pending", (Query(pending()),), stat=True, about="Of replicas that have no node."),
                Panel("US dollars an hour", (Query(stock("cost_usd_per_hour")),), "currencyUSD", stat=True),
                Panel("Of these idle", (Query(idle("cost_usd_per_hour")),), "currencyUSD", stat=True),
                Panel("US dollars a million tokens", (Query(million(ALL)),), "currencyUSD", stat=True),
            ),
        ),
        Row(
            "Accelerators",
            (
                Panel(
                    "Accelerators by cluster",
                    (Query(stock("accelerators", "cluster", "state"), "{{cluster}} {{state}}"),),
                    about="On nodes that can be scheduled to.",
                    stacked=True,
                ),
                Panel(
                    "Accelerators by type",
                    (Query(stock("accelerators", "accelerator", "state"), "{{accelerator}} {{state}}"),),
                    stacked=True,
                ),
                Panel(
                    "Idle share",
                    (
                        Query(
                            f"{idle('accelerators', 'cluster')} / ({stock('accelerators', 'cluster')} > 0)", BY_CLUSTER
                        ),
                    ),
                    "percentunit",
                ),
                Panel("Pending by cluster", (Query(pending("cluster"), BY_CLUSTER),), stacked=True),
            ),
        ),
        Row(
            "Money",
            (
                Panel(
                    "US dollars an hour by cluster",
                    (Query(stock("cost_usd_per_hour", "cluster", "state"), "{{cluster}} {{state}}"),),
                    "currencyUSD",
                    "Of all accelerators, used and idle.",
                    stacked=True,
                ),
                Panel(
                    "The ten dearest services",
                    (Query(f"topk(10, {dollars(HERE, 'namespace', 'service')})", "{{namespace}}/{{service}}"),),
                    "currencyUSD",
                    "US dollars an hour.",
                ),
                Panel(
                    "Cost of a million tokens",
                    (Query(million(ALL), "US dollars"),),
                    "currencyUSD",
                    "What all services hold over the tokens that all gateways saw.",
                ),
            ),
        ),
        Row(
            "Services and clusters",
            (
                Panel(
                    "Services by Ready",
                    (
                        Query(
                            f"count by (status) ({state(CONDITION, READINESS, *SERVICE_STATE)})",
                            "Ready is {{status}}",
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Requests a second",
                    (Query(rate("inferops_gateway_requests_total", ALL, "namespace"), "{{namespace}}"),),
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Clusters that answer",
                    (
                        Query(
                            state(
                                "inferops_cluster_condition",
                                f'{HERE}, condition="ControlPlaneHealthy"',
                                *("cluster", "status", "reason"),
                            ),
                            "{{cluster}}: {{reason}}",
                        ),
                    ),
                    sometimes=True,
                ),
                Panel(
                    "Services by cluster and state",
                    (
                        Query(
                            f"count by (cluster, state) ({state(PLACED, HERE, *SERVICE_PLACE)})",
                            "{{cluster}} {{state}}",
                        ),
                    ),
                    sometimes=True,
                ),
            ),
        ),
    ),
    {"cluster": "inferops_cluster_accelerators"},
)


def of_operators(metric: str) -> str:
    """A metric of processes, of the operators alone."""
    return f"{metric} and on (job, instance) inferops_leader"


def of_gateways(metric: str) -> str:
    return f"{metric} and on (job, instance) inferops_gateway_asyncio_tasks"


INSTANCE = "{{instance}}"

OPERATOR = Dashboard(
    "operator",
    "inferops / Operator",
    "The operator and the gateways themselves: what they do, how fast, and what goes wrong.",
    (
        Row(
            "Now",
            (
                Panel("Leaders", (Query("sum(inferops_leader)"),), stat=True, about="One. None: nothing is acted on."),
                Panel(
                    "Since the last reconcile that went well",
                    (Query("time() - max(inferops_last_successful_reconcile_timestamp_seconds > 0)"),),
                    "s",
                    stat=True,
                ),
                Panel(
                    "Failing", (Query("sum(inferops_queue_failing)"),), stat=True, about="Keys whose last run failed."
                ),
                Panel("Gateways that tell", (Query('max(inferops_gateways{state="telling"})'),), stat=True),
                Panel(
                    "Versions",
                    (Query("count by (version) (inferops_build_info)", "{{version}}"),),
                    stat=True,
                ),
            ),
        ),
        Row(
            "Reconciles",
            (
                Panel(
                    "Reconciles",
                    (Query(rate("inferops_reconciles_total", "", "kind", "result"), "{{kind}} {{result}}"),),
                    "ops",
                    stacked=True,
                ),
                Panel(
                    "Latency",
                    tuple(
                        Query(quantile(share, "inferops_reconcile_duration_seconds", ""), f"p{round(100 * share)}")
                        for share in (0.5, 0.95, 0.99)
                    ),
                    "s",
                    "Of reconciles, their requests included.",
                ),
                Panel(
                    "Queue",
                    (
                        Query("sum(inferops_queue_depth and on (job, instance) inferops_leader == 1)", "waiting"),
                        Query("sum(inferops_queue_failing)", "failing"),
                    ),
                ),
                Panel("Leader", (Query("inferops_leader", INSTANCE),)),
            ),
        ),
        Row(
            "Requests to the API server",
            (
                Panel(
                    "By verb",
                    (Query(rate("inferops_kube_requests_total", "", "verb"), "{{verb}}"),),
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "That failed",
                    (
                        Query(
                            rate("inferops_kube_requests_total", 'code=~"0|4..|5.."', "verb", "kind", "code"),
                            "{{verb}} {{kind}} {{code}}",
                        ),
                    ),
                    "reqps",
                    "A 404 says that something is not there, a 409 that somebody else was first: a few are usual.",
                    sometimes=True,
                ),
            ),
        ),
        Row(
            "Decisions",
            (
                Panel(
                    "Scaling",
                    (
                        Query(
                            rate("inferops_scaling_decisions_total", "", "direction", "reason"),
                            "{{direction}}: {{reason}}",
                        ),
                    ),
                    "ops",
                ),
                Panel(
                    "Phases of rollouts",
                    (Query(rate("inferops_rollout_transitions_total", "", "phase"), "{{phase}}"),),
                    "ops",
                ),
                Panel(
                    "Rollouts that ended",
                    (Query(rate("inferops_rollouts_total", "", "result", "reason"), "{{result}}: {{reason}}"),),
                    "ops",
                    sometimes=True,
                ),
                Panel(
                    "Verdicts on canaries",
                    (Query(rate("inferops_rollout_verdicts_total", "", "verdict"), "{{verdict}}"),),
                    "ops",
                ),
                Panel(
                    "Placement",
                    (Query(rate("inferops_placement_decisions_total", "", "state"), "{{state}}"),),
                    "ops",
                ),
                Panel(
                    "Clusters",
                    (Query(rate("inferops_cluster_transitions_total", "", "reason"), "{{reason}}"),),
                    "ops",
                    sometimes=True,
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Panel(
                    "Memory",
                    (
                        Query(of_operators("process_resident_memory_bytes"), f"operator {INSTANCE}"),
                        Query(of_gateways("process_resident_memory_bytes"), f"gateway {INSTANCE}"),
                    ),
                    "bytes",
                ),
                Panel(
                    "Processors",
                    (
                        Query(of_operators(f"rate(process_cpu_seconds_total[{RATE}])"), f"operator {INSTANCE}"),
                        Query(of_gateways(f"rate(process_cpu_seconds_total[{RATE}])"), f"gateway {INSTANCE}"),
                    ),
                ),
                Panel(
                    "Tasks",
                    (
                        Query("inferops_asyncio_tasks", f"operator {INSTANCE}"),
                        Query("inferops_gateway_asyncio_tasks", f"gateway {INSTANCE}"),
                    ),
                ),
                Panel("Objects in memory", (Query("max by (kind) (inferops_stored_objects)", "{{kind}}"),)),
                Panel(
                    "Gateways",
                    (Query("max by (state) (inferops_gateways)", "{{state}}"),),
                    about="Those that are ready, and those that tell the operator what is asked of them.",
                ),
                Panel(
                    "Notifications",
                    (Query(rate("inferops_notifications_total", "", "form", "result"), "{{form}} {{result}}"),),
                    "ops",
                    sometimes=True,
                ),
            ),
        ),
    ),
)

DASHBOARDS = (SERVICE, FLEET, OPERATOR)
