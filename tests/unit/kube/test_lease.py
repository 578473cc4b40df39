"""Leader election in virtual time: never two leaders, and a new one soon after the old one ended or gave up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from inferops.kube import lease
from inferops.kube.lease import Elector, LeaseLost, Times
from unit.kube.leases import Fault, Line, Server
from unit.kube.replica import Replica, until
from unit.kube.virtualtime import now, run

TIMES = Times()


def test_the_first_leads_at_once_and_the_second_waits() -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        assert await until(lambda: first.leads) < 0.1
        second = Replica(server, "second")
        await asyncio.sleep(300)
        assert first.leads and not second.leads and not second.won
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 1
        assert server.lease["spec"]["acquireTime"] < server.lease["spec"]["renewTime"]
        assert second.line.requests < 30, "it waits by a watch, not by polling"
        await first.kill()
        await second.kill()

    run(main())


def test_a_dead_leader_is_followed_after_its_lease_has_run_out() -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        await until(lambda: first.leads)
        second = Replica(server, "second")
        await asyncio.sleep(61)
        await first.kill()
        died = now()
        took = await until(lambda: second.leads) - died
        assert TIMES.lease - TIMES.early - TIMES.retry - 0.1 <= took < TIMES.lease
        await second.kill()

    run(main())


def test_a_lease_that_is_given_up_is_taken_at_once() -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        await until(lambda: first.leads)
        second = Replica(server, "second")
        await asyncio.sleep(61)
        await first.stop()
        assert not first.leads
        stopped = now()
        assert await until(lambda: second.leads) - stopped < 0.2
        await second.kill()

    run(main())


def test_a_renewal_that_is_cut_off_does_not_keep_the_lease_from_being_given_up() -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        await until(lambda: first.leads)
        version = server.version
        await until(lambda: server.version > version)  # a renewal is done and its answer is on its way
        await first.stop()
        assert server.holder == ""

    run(main())


def test_who_never_led_gives_nothing_up() -> None:
    async def main() -> None:
        server = Server()
        first, second = Replica(server, "first"), Replica(server, "second")
        await asyncio.sleep(5)
        loser, winner = (first, second) if second.leads else (second, first)
        await loser.stop()
        assert server.holder == winner.name and winner.leads
        await winner.kill()

    run(main())


def test_of_many_that_create_it_at_once_one_leads() -> None:
    async def main() -> None:
        server = Server()
        replicas = [Replica(server, f"replica-{number}") for number in range(5)]
        await asyncio.sleep(30)
        assert [replica.leads for replica in replicas].count(True) == 1
        assert sum(len(replica.won) for replica in replicas) == 1
        for replica in replicas:
            await replica.kill()

    run(main())


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.LOST])
def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_begin(fault: Fault) -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first", faults=[Fault.NONE] * 2 + [fault] * 50)
        begun = await until(lambda: first.leads)
        stopped = await until(lambda: not first.leads)
        assert begun + TIMES.renew_deadline - 0.1 <= stopped <= begun + TIMES.renew_deadline + 0.1
        await until(lambda: first.lost)
        assert now() - stopped <= 2 * TIMES.retry
        assert not first.leads

    run(main())


def test_a_renewal_counts_from_when_it_was_sent() -> None:
    """Its answer was slow: whoever saw it at once counts from then."""

    async def main() -> None:
        server = Server()
        first = Replica(server, "first", faults=[Fault.NONE, Fault.SLOW] + [Fault.LOST] * 50)
        begun = await until(lambda: first.leads)
        stopped = await until(lambda: not first.leads)
        assert stopped - begun == pytest.approx(TIMES.renew_deadline - 1.5, abs=0.1)
        await until(lambda: first.lost)

    run(main())


def test_a_few_failures_do_not_cost_the_lease() -> None:
    async def main() -> None:
        server = Server()
        faults = [Fault.NONE, Fault.NONE, *[Fault.ERROR, Fault.NO_ANSWER, *[Fault.NONE] * 4] * 5]
        first = Replica(server, "first", faults=faults)
        await until(lambda: first.leads)
        for _ in range(1000):
            await asyncio.sleep(0.1)
            assert first.leads
        await first.kill()

    run(main())


def test_a_lease_that_somebody_else_holds_is_lost_at_the_next_renewal() -> None:
    async def main() -> None:
        server = Server()
        elector = Elector(Line(server), "inferops-system", "operator", "first")
        await elector.acquire()
        keeping = asyncio.ensure_future(elector.keep())
        await asyncio.sleep(5)
        server.steal("intruder")
        with pytest.raises(LeaseLost, match="intruder"):
            await keeping
        assert now() <= 5 + TIMES.retry + 0.2

    run(main())


def test_a_lease_that_is_deleted_stays_with_its_leader() -> None:
    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        await until(lambda: first.leads)
        second = Replica(server, "second")
        for _ in range(5):
            await asyncio.sleep(7.3)
            server.delete()
            for _ in range(100):
                await asyncio.sleep(0.1)
                assert first.leads and not second.leads
        await first.kill()
        server.delete()
        died = now()
        assert await until(lambda: second.leads) - died <= 2 * TIMES.lease + 0.1
        await second.kill()

    run(main())


def test_an_answer_that_was_lost_does_not_leave_a_leader_that_may_not_write() -> None:
    """The write that took the lease came through after another reading: it is ours, and led from then on."""

    async def main() -> None:
        server = Server()
        line = Line(server, [Fault.NONE, Fault.LATE, Fault.NONE], late=5.0 + TIMES.retry + 0.025)
        elector = Elector(line, "inferops-system", "operator", "first")
        await elector.acquire()
        assert elector.leads()

    run(main())


def test_leading_is_told_without_waiting_for_anything() -> None:
    async def main() -> None:
        elector = Elector(Line(Server()), "inferops-system", "operator", "first")
        assert not elector.leads()
        await elector.acquire()
        assert elector.leads()
        await asyncio.sleep(TIMES.renew_deadline - 0.1)
        assert elector.leads()
        await asyncio.sleep(0.2)
        assert not elector.leads()

    run(main())


@pytest.mark.parametrize("hours", [-1, 1])
def test_whatever_the_clocks_on_the_wall_say_one_leads(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each renewal is written with a clock that is set by an hour, there and back: the other replica's, so to say."""
    written = []

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            ahead = timedelta(hours=hours) if len(written) % 2 else timedelta()
            written.append(ahead)
            return datetime(2026, 3, 29, 0, 59, tzinfo=UTC) + timedelta(seconds=now()) + ahead

    monkeypatch.setattr(lease, "datetime", Wall)

    async def main() -> None:
        server = Server()
        first = Replica(server, "first")
        await until(lambda: first.leads)
        second = Replica(server, "second")
        for _ in range(300):
            await asyncio.sleep(1)
            assert first.leads and not second.leads
        await first.kill()
        died = now()
        assert await until(lambda: second.leads) - died < TIMES.lease
        await second.kill()

    run(main())
    assert len(written) > 100
