"""Where users' webhooks may go: by the admin's patterns, and never to the machine itself or to its credentials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from inferops.controller.webhookhosts import DEFAULT, Forbidden, Guarded, Hosts, off_limits
from inferops.controller.webhooks import NoAnswer, Poster


@pytest.mark.parametrize(
    ("patterns", "host", "allowed"),
    [
        (DEFAULT, "judge.ml.svc", True),
        (DEFAULT, "judge.ml.svc.cluster.local", True),
        (DEFAULT, "svc", False),
        (DEFAULT, "evilsvc", False),
        (DEFAULT, "judge.ml.svc.example.com", False),
        (DEFAULT, "judge.ml", False),
        (DEFAULT, "localhost", False),
        (DEFAULT, "169.254.169.254", False),
        ((), "judge.ml.svc", False),
        (("hooks.example.com",), "hooks.example.com", True),
        (("hooks.example.com",), "a.hooks.example.com", False),
        (("*.example.com",), "a.b.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*",), "anything.example.com", True),
        (("*",), "10.1.2.3", False),
        (("*",), "2130706433", False),
        (("*",), "127.1", False),
        (("*",), "0x7f.0x1", False),
        (("10.1.2.3",), "10.1.2.3", True),
        (("10.1.2.3",), "10.1.2.30", False),
    ],
)
def test_hosts_by_pattern(patterns: tuple[str, ...], host: str, allowed: bool) -> None:
    assert Hosts(patterns).allows(host) is allowed


@pytest.mark.parametrize("pattern", ["", "http://a.example.com", "a.*.com", "*svc", "A.example.com", "a b", "a:80/x"])
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"write for example \*\.svc"):
        Hosts([pattern])


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254",
     "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "0.1.2.3", "::", "255.255.255.255",
     "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"],
)  # fmt: skip
def test_addresses_that_are_off_limits(address: str) -> None:
    assert off_limits(address)


@pytest.mark.parametrize(
    "address", ["10.96.0.10", "192.168.1.1", "203.0.113.9", "fd00::1", "2001:db8::1", "100.64.0.1"]
)
def test_addresses_of_services_and_of_others_are_not(address: str) -> None:
    assert not off_limits(address)


class Names:
    """A name server: what it answers, one after the other, the last for good."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("found", [["127.0.0.1"], ["10.96.0.10", "169.254.169.254"], ["fe80::1%eth0"]])
async def test_a_name_that_leads_there_is_refused_and_listed_by_itself_it_is_not(found: list[str]) -> None:
    guarded = Guarded(Hosts(["*.svc"]), Names(found))
    with pytest.raises(Forbidden, match=r"off limits; an admin can list it in --webhook-hosts"):
        await guarded.resolve("judge.ml.svc", 80)
    await guarded.close()
    listed = Guarded(Hosts(["judge.ml.svc"]), Names(found))
    assert {each["host"] for each in await listed.resolve("judge.ml.svc", 80)} == {a for a in found if "%" not in a}
    await listed.close()


async def test_it_hands_on_the_addresses_that_it_looked_at() -> None:
    guarded = Guarded(Hosts(["*.svc"]), Names(["10.96.0.10", "fd00::1"]))
    found = await guarded.resolve("judge.ml.svc", 8080)
    await guarded.close()
    assert [(each["host"], each["port"], each["family"]) for each in found] == [
        ("10.96.0.10", 8080, socket.AF_INET),
        ("fd00::1", 8080, socket.AF_INET6),
    ]


@pytest.fixture
async def served() -> AsyncIterator[tuple[int, list[str]]]:
    """A server on loopback: its port, and the hosts by which it was called."""
    hosts: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hosts.append(request.host)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], hosts
    await runner.cleanup()


async def test_a_name_that_changes_its_mind_leads_nowhere_else(served: tuple[int, list[str]]) -> None:
    """The name answers with a good address when somebody asks to check, and with the machine's own to connect."""
    port, called = served
    names = Names(["10.96.0.10"], ["127.0.0.1"])
    guarded = Guarded(Hosts(["*.svc"]), names)
    await guarded.resolve("judge.ml.svc", port)
    poster = Poster(guarded)
    for _ in range(2):
        with pytest.raises(NoAnswer, match="off limits"):
            await poster.post(f"http://judge.ml.svc:{port}/", {}, 5.0)
    await poster.close()
    assert called == [] and names.asked == 3


async def test_every_call_looks_its_host_up_anew(served: tuple[int, list[str]]) -> None:
    port, called = served
    names = Names(["127.0.0.1"])
    poster = Poster(Guarded(Hosts(["judge.ml.svc"]), names))
    for _ in range(2):
        assert (await poster.post(f"http://judge.ml.svc:{port}/", {}, 5.0)).good
    await poster.close()
    assert called == [f"judge.ml.svc:{port}"] * 2 and names.asked == 2


async def test_names_of_this_machine_are_resolved_and_refused() -> None:
    guarded = Guarded(Hosts(["*"]))
    with pytest.raises(Forbidden):
        await asyncio.wait_for(guarded.resolve("localhost", 80), 5)
    await guarded.close()
