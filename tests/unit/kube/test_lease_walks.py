"""Never two leaders, whatever befalls the requests of several replicas that come and go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.kube.client import WRITE_TIMEOUT
from unit.kube.leases import Fault, Server
from unit.kube.replica import Replica
from unit.kube.virtualtime import now, run


@dataclass
class Life:
    """One replica's: what befalls its requests, and how it ends after so many seconds."""

    faults: list[Fault]
    silent: bool
    how: str
    after: float
    pause: float  # until the next one starts

    async def end(self, replica: Replica) -> None:
        await asyncio.sleep(self.after)
        if self.how == "cut":
            replica.line.down = True
        elif self.how == "kill":
            await replica.kill()
        else:
            await replica.stop()


class Witness:
    """Sees who leads, at any time."""

    def __init__(self) -> None:
        self.replicas: list[Replica] = []
        self.led: dict[str, float] = {}
        self.task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while True:
            leading = [replica for replica in self.replicas if replica.leads]
            assert len(leading) <= 1
            for replica in self.replicas:
                if replica.stopped:
                    self.led.pop(replica.name, None)
            for replica in leading:
                # What the one before had begun to write is over by now, also where it did not give up itself.
                before = [when for name, when in self.led.items() if name != replica.name]
                assert all(now() - when >= WRITE_TIMEOUT - 0.3 for when in before)
                self.led[replica.name] = now()
            await asyncio.sleep(0.25)

    def end(self) -> None:
        if self.task.done():
            self.task.result()
        self.task.cancel()


def lives(*faults: Fault) -> st.SearchStrategy[list[Life]]:
    befalls = st.lists(st.sampled_from([Fault.NONE, Fault.NONE, *faults]), max_size=12)
    ends = st.sampled_from(["kill", "stop", "cut"])
    life = st.builds(Life, befalls, st.booleans(), ends, st.floats(1, 40), st.floats(0, 8))
    return st.lists(life, min_size=2, max_size=4)


async def live(plan: list[Life], server: Server, deletion: float | None = None) -> None:
    witness = Witness()
    ends = []
    for number, life in enumerate(plan):
        witness.replicas.append(Replica(server, f"replica-{number}", life.faults, life.silent))
        ends.append(asyncio.ensure_future(life.end(witness.replicas[-1])))
        await asyncio.sleep(life.pause)
    witness.replicas.append(Replica(server, "last"))
    if deletion is not None:
        await asyncio.sleep(1 + deletion)
        if all(replica.line.knows or replica.task.done() for replica in witness.replicas):
            server.delete()
    await asyncio.gather(*ends)
    await asyncio.sleep(60)
    witness.end()
    alive = [replica for replica in witness.replicas if not replica.task.done() and not replica.line.down]
    assert [replica for replica in alive if replica.leads], "nobody leads though somebody could"
    for replica in witness.replicas:
        await replica.kill()


@settings(max_examples=30)
@given(lives(*Fault))
def test_two_never_lead_whatever_befalls_their_requests(plan: list[Life]) -> None:
    async def main() -> None:
        await live(plan, Server())

    run(main())


@settings(max_examples=30)
@given(
    plan=lives(Fault.SLOW, Fault.ERROR, Fault.LOST, Fault.NO_ANSWER),
    deletion=st.floats(0, 30),
)
def test_two_never_lead_though_somebody_deletes_the_lease(plan: list[Life], deletion: float) -> None:
    """One that has read nothing before cannot know that there was a lease, and is not part of this."""

    async def main() -> None:
        await live(plan, Server(), deletion)

    run(main())
