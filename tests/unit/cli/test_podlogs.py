"""`inferops logs`: of the right pods, each line with its revision and replica, whatever becomes of the pods."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from inferops.cli import podlogs
from inferops.cli.access import Refusal
from inferops.cli.podlogs import Asked, Talker, hash_of, listen, params, talkers
from inferops.kube.client import KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object
from unit.cli.scenes import NEW, OBSERVING, OLD, parsed, service

RUNNING = parsed(service(OBSERVING))


def pod(name: str, hash_: str = OLD, minute: int = 0, restarts: int = 0, **labels: str) -> Object:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": f"2025-11-03T12:{minute:02}:00Z"}
    statuses = [{"name": "engine", "restartCount": restarts}]
    return {
        "metadata": {**meta, "labels": {"inferops.dev/revision": hash_, **labels}},
        "status": {"containerStatuses": statuses},
    }


def group(name: str, number: int, rank: int) -> Object:
    return pod(name, OLD, number, **{podlogs.GROUP: str(number), podlogs.INDEX: str(rank)})


@pytest.mark.parametrize(
    ("revision", "expected"), [("", ""), ("stable", OLD), ("canary", NEW), (OLD, OLD), (NEW[:4], NEW)]
)
def test_a_revision_by_its_part_or_the_beginning_of_its_hash(revision: str, expected: str) -> None:
    assert hash_of(RUNNING, revision) == expected


@pytest.mark.parametrize("revision", ["zzz", "previous"])
def test_a_revision_that_is_not_there_names_those_that_are(revision: str) -> None:
    with pytest.raises(Refusal, match=f"there are {OLD} \\(Stable\\), {NEW} \\(Canary\\)"):
        hash_of(RUNNING, revision)


def test_replicas_are_numbered_by_age_and_within_their_revision() -> None:
    pods = [pod("c", NEW, 3), pod("b", OLD, 2), pod("a", OLD, 1)]
    found = [(each.pod, each.prefix) for each in talkers(pods, "", Asked())]
    assert found == [("a", f"{OLD}/0"), ("b", f"{OLD}/1"), ("c", f"{NEW}/0")]
    assert [each.pod for each in talkers(pods, OLD, Asked(replica=1))] == ["b"]


def test_pods_of_a_group_have_its_number_and_their_rank() -> None:
    pods = [group("g-0", 0, 0), group("g-0-1", 0, 1), group("g-1", 1, 0)]
    assert [each.prefix for each in talkers(pods, "", Asked())] == [f"{OLD}/0.0", f"{OLD}/0.1", f"{OLD}/1.0"]
    assert len(talkers(pods, "", Asked(replica=0))) == 2


def test_what_is_asked_of_a_pod() -> None:
    asked = Asked(follow=True, since="600", tail=5)
    assert params(asked) == {"container": "engine", "follow": "true", "sinceSeconds": "600", "tailLines": "5"}
    assert params(asked, late=True) == {"container": "engine", "follow": "true"}, "of a new pod all is news"
    assert params(asked, silent=2.5)["sinceSeconds"] == "3", "nothing is told twice"
    assert params(Asked(previous=True)) == {"container": "engine", "previous": "true"}


class Api:
    """Pods and what they say: pieces of bytes, or an error."""

    def __init__(self, pods: list[Object], said: dict[str, list[bytes | KubeError]]) -> None:
        self.pods, self.said = pods, said
        self.queries: list[dict[str, str]] = []
        self.looks = 0

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        self.looks += 1
        yield list(self.pods), 1

    async def pieces(
        self, path: str, params: dict[str, str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[bytes]:
        self.queries.append(params or {})
        for each in self.said[path.split("/")[-2]]:
            if isinstance(each, KubeError):
                raise each
            yield each


def find(asked: Asked) -> Any:
    return lambda pods: talkers(pods, "", asked)


async def heard(api: Api, asked: Asked = Asked()) -> tuple[int, str]:  # noqa: B008
    out = io.StringIO()
    return await listen(api, find(asked), asked, "llama", "chat", out), out.getvalue()


async def test_lines_are_whole_whatever_the_pieces() -> None:
    api = Api([pod("a"), pod("b", NEW, 1)], {"a": [b"one\ntw", b"o\nthree"], "b": [b"\x1b[31mred\tx\r\n"]})
    count, text = await heard(api)
    assert count == 2
    assert sorted(text.splitlines()) == sorted(
        [f"[{OLD}/0] one", f"[{OLD}/0] two", f"[{OLD}/0] three", f"[{NEW}/0] �[31mred\tx"]
    )


async def test_a_line_without_end_is_cut() -> None:
    api = Api([pod("a")], {"a": [b"x" * 100_000 for _ in range(20)]})
    _, text = await heard(api)
    assert len(text) < podlogs.LONGEST + 100


async def test_a_pod_that_goes_and_one_that_cannot_tell_stop_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    gone = KubeError("get", 404, "NotFound", "pods a not found")
    waits = KubeError("get", 400, "BadRequest", "container engine is waiting to start: PodInitializing")
    api = Api([pod("a"), pod("b", minute=1), pod("c", minute=2)], {"a": [gone], "b": [waits], "c": [b"here\n"]})
    assert await heard(api) == (3, f"[{OLD}/2] here\n")
    assert "pod b: container engine is waiting to start" in capsys.readouterr().err


async def test_without_the_right_it_ends() -> None:
    api = Api([pod("a")], {"a": [KubeError("get", 403, "Forbidden", "no pods/log for you")]})
    with pytest.raises(KubeError, match="no pods/log"):
        await heard(api)


async def test_nobody_is_there() -> None:
    assert await heard(Api([], {})) == (0, "")


async def test_followed_pods_come_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podlogs, "AGAIN", 0.01)
    api = Api([pod("a")], {"a": [b"first\n"], "b": [b"second\n"]})
    asked, out = Asked(follow=True, tail=0), io.StringIO()
    task = asyncio.create_task(listen(api, find(asked), asked, "llama", "chat", out))

    async def until(text: str) -> None:
        async with asyncio.timeout(5):
            while text not in out.getvalue():
                await asyncio.sleep(0.005)

    await until("first")
    api.pods.append(pod("b", minute=1))
    await until(f"[{OLD}/1] second")
    assert "tailLines" not in api.queries[-1]
    api.pods[0] = pod("a", restarts=1)
    await until("second")
    looks = api.looks
    async with asyncio.timeout(5):
        while out.getvalue().count("first") < 2 or api.looks < looks + 3:
            await asyncio.sleep(0.005)
    assert out.getvalue().count("first") == 2 and out.getvalue().count("second") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_talkers_differ_by_the_life_of_their_container() -> None:
    [before], [after] = (talkers([pod("a", restarts=n)], "", Asked()) for n in (0, 1))
    assert before == Talker("a", "uid-a/0", f"{OLD}/0") and after.life == "uid-a/1"
