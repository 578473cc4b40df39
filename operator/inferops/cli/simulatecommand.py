"""The command line of `inferops simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    file: Annotated[
        Path,
        typer.Option("--file", "-f", help="An InferenceService in YAML, with what it needs; - for standard input."),
    ],
    service: Annotated[str | None, typer.Option(help="Which, where FILE has several.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Requests: Azure's or BurstGPT's CSV, Mooncake's JSONL, packed or not.")
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(help="Rates: CSV of start_s,requests_per_s[,mean_client_cv], or a saved answer of Prometheus."),
    ] = None,
    poisson: Annotated[str, typer.Option(help="RATE[,TIME]: requests a second at random, for example 12,2h.")] = "",
    prometheus: Annotated[str, typer.Option(help="URL of a Prometheus that counted requests; with --query.")] = "",
    query: Annotated[str, typer.Option(help="PromQL of requests a second.")] = "",
    start: Annotated[str, typer.Option(help="For example -7d (which is usual) or 2026-11-20T08:00:00Z.")] = "",
    end: Annotated[str, typer.Option(help="Likewise; left out: now.")] = "",
    step: Annotated[str, typer.Option(help="Time between two points; left out: 1m.")] = "",
    sizes: Annotated[
        Path | None, typer.Option(help="A trace from which the sizes of requests are drawn, in place of the traffic's.")
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Mean tokens of prompts; left out: the trace's own, else spec.load's.")
    ] = None,
    output_tokens: Annotated[int | None, typer.Option(min=1, help="Mean tokens of answers; likewise.")] = None,
    cv: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=20,
            help="Coefficient of variation of the times between requests drawn from rates; 1: "
            "independent of each other, more: in bursts. Left out: the file's, else 1.",
        ),
    ] = None,
    speed: Annotated[float, typer.Option(help="So many times as fast: the same requests in less time.")] = 1.0,
    scale: Annotated[float, typer.Option(help="So many times as many requests in the same time.")] = 1.0,
    duration: Annotated[str, typer.Option(help="Only so much of it, for example 6h.")] = "",
    clock: Annotated[
        str, typer.Option(help="When it begins, for windows of a schedule; left out: as recorded, else a Monday, 0:00.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0,
    replicas: Annotated[
        int | None, typer.Option(min=0, max=1000, help="At the beginning; left out: as many as the first minutes need.")
    ] = None,
    room: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Replicas that nodes there have room for; more wait for a node.")
    ] = None,
    cold_start: Annotated[
        str,
        typer.Option(help="180s, or of schedule, pull, load, warm and node those that are known: pull=20s,load=2m."),
    ] = "",
    price: Annotated[float | None, typer.Option(help="US dollars an hour of one accelerator.")] = None,
    compare: Annotated[
        str, typer.Option(help="Other autoscalers: hpa,kpa,keda,... or all; hpa:defaults with its own defaults.")
    ] = "",
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Look for the settings that meet the SLO at least cost.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where the service misses its SLO.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write everything as JSON; - for standard output.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
) -> None:
    """Simulate a service under traffic: SLO attainment, latencies, GPU hours and cost. Needs no cluster and no GPU.

    For example: inferops simulate -f service.yaml --poisson 12,2h --compare hpa,keda --html report.html
    """
    from inferops.cli.simulate import answer
    from inferops.cli.simulateask import Question

    question = Question(
        file=file,
        service=service,
        trace=trace,
        rates=rates,
        poisson=poisson,
        prometheus=prometheus,
        query=query,
        start=start,
        end=end,
        step=step,
        sizes=sizes,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        cv=cv,
        speed=speed,
        scale=scale,
        duration=duration,
        clock=clock,
        seed=seed,
        replicas=replicas,
        room=room,
        cold_start=cold_start,
        price=price,
        compare=compare,
        suggest=suggest,
        check=check,
        json=json,
        html=html,
    )
    raise typer.Exit(answer(question))
