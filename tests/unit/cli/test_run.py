"""The options of `inferops run`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from inferops.cli.main import app
from inferops.cli.run import gateway_in, hosts_in, prometheus_in
from inferops.controller.notify import Receiver
from inferops.controller.operator import Options
from inferops.controller.webhookhosts import DEFAULT


def test_a_gateway_by_namespace_and_name() -> None:
    found = gateway_in("infra/public")
    assert found is not None and (found.namespace, found.name, found.section_name) == ("infra", "public", None)
    assert gateway_in("") is None


@pytest.mark.parametrize("text", ["public", "infra/", "/public", "infra/public/https", "Infra/public"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAMESPACE/NAME, for example infra/public"):
        gateway_in(text)
    result = CliRunner().invoke(app, ["run", "--gateway", text])
    assert result.exit_code == 2 and "--gateway" in result.output


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ([], DEFAULT),
        ([""], DEFAULT),
        (["off"], ()),
        (["*.svc, hooks.example.com", "10.1.2.3"], ("*.svc", "hooks.example.com", "10.1.2.3")),
    ],
)
def test_hosts_of_webhooks(given: list[str], hosts: tuple[str, ...]) -> None:
    assert hosts_in(given) == hosts


@pytest.mark.parametrize(
    "text",
    ["prometheus:9090", "ftp://p", "http://", "http://p:x", "http://user:secret@p?a=b", "http://[::1", "http://p:0"],
)
def test_a_prometheus_is_a_url(text: str) -> None:
    result = CliRunner().invoke(app, ["run", "--prometheus", text])
    assert result.exit_code == 2
    assert "--prometheus" in result.output
    assert "secret" not in result.output
    with pytest.raises(ValueError, match="it is no URL of a Prometheus"):
        prometheus_in(text)


def test_a_prometheus_comes_by_its_option_or_by_the_environment(options: list[Options]) -> None:
    url = "https://user:secret@prometheus.example.com/tenant"
    assert CliRunner().invoke(app, ["run"], env={"INFEROPS_PROMETHEUS": url}).exit_code == 0
    assert CliRunner().invoke(app, ["run", "--prometheus", url]).exit_code == 0
    assert CliRunner().invoke(app, ["run"]).exit_code == 0
    assert [each.prometheus for each in options] == [url, url, None]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options with which an operator would have been run."""
    found: list[Options] = []

    def run(options: Options, *_: str) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr("inferops.cli.run.run", run)
    return found


def test_hosts_and_receivers_come_by_options_or_by_the_environment(options: list[Options]) -> None:
    slack, ops = "slack=https://hooks.example.com/T0/XXXX", "json=http://ops.ml.svc/events"
    variables = {"INFEROPS_WEBHOOK_HOSTS": "*.svc,hooks.example.com", "INFEROPS_NOTIFY": f"{slack} {ops}"}
    assert CliRunner().invoke(app, ["run"], env=variables).exit_code == 0
    words = ["--webhook-hosts", "*.svc", "--webhook-hosts", "hooks.example.com", "--notify", slack, "--notify", ops]
    assert CliRunner().invoke(app, ["run", *words]).exit_code == 0
    assert options[0] == options[1]
    assert options[0].webhook_hosts == ("*.svc", "hooks.example.com")
    assert options[0].notify == (
        Receiver("slack", "https://hooks.example.com/T0/XXXX"),
        Receiver("json", "http://ops.ml.svc/events"),
    )
    assert "XXXX" not in repr(options)


def test_left_out_webhooks_stay_in_the_cluster_and_nobody_is_told(options: list[Options]) -> None:
    assert CliRunner().invoke(app, ["run"]).exit_code == 0
    assert (options[0].webhook_hosts, options[0].notify) == (("*.svc", "*.svc.cluster.local"), ())


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--webhook-hosts", "https://hooks.example.com", "write for example *.svc"),
        ("--notify", "https://hooks.example.com/T0/XXXX", "receiver 1 is neither json=URL nor slack=URL"),
    ],
)
def test_a_wrong_host_or_receiver_ends_the_command_and_secrets_are_not_shown(
    option: str, value: str, told: str, options: list[Options]
) -> None:
    result = CliRunner().invoke(app, ["run", option, value], env={"COLUMNS": "200"})
    assert result.exit_code == 2 and options == []
    assert option in result.output and told in result.output and "XXXX" not in result.output
