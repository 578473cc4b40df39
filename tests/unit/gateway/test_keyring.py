"""API keys from Secrets: read once, again in the background, and nobody let in on a doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from inferops.gateway.access.keyring import MOST_KEYS, REFRESH, RETRY, STALE, Keyring, KeysUnavailable, KubeSecrets
from inferops.kube.client import KubeError
from inferops.kube.kinds import SECRET, Kind
from inferops.kube.owned import Object
from unit.gateway.resources import secret
from unit.kube.virtualtime import now, run

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
FORBIDDEN = KubeError("get Secret chat/keys", 403, "Forbidden", "no")
AWAY = KubeError("get Secret chat/keys", 0, "TimeoutError", "timed out")


class Secrets:
    """One Secret, and what becomes of whoever asks for it."""

    def __init__(self) -> None:
        self.data: Mapping[str, bytes | str] | None = {"alice": ALICE}
        self.error: KubeError | None = None
        self.asked: list[float] = []
        self.takes = 0.1  # seconds

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes | str] | None:
        assert (namespace, name) == ("chat", "keys")
        self.asked.append(now())
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return self.data


def played(play: Callable[[Secrets, Keyring], Awaitable[None]]) -> Secrets:
    async def main() -> Secrets:
        secrets = Secrets()
        keyring = Keyring(secrets, now)
        await play(secrets, keyring)
        await keyring.close()
        return secrets

    return run(main())


async def client(keyring: Keyring, key: str) -> str | None:
    return (await keyring.keys("chat", "keys")).client(key)


async def refused(keyring: Keyring) -> str:
    with pytest.raises(KeysUnavailable) as error:
        await keyring.keys("chat", "keys")
    return str(error.value)


def test_a_secret_is_read_once_for_all_who_ask() -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        assert await asyncio.gather(*(client(keyring, ALICE) for _ in range(50))) == ["alice"] * 50
        await asyncio.sleep(REFRESH / 2)
        assert await client(keyring, BOB) is None

    assert len(played(play).asked) == 1


def test_it_is_read_again_while_requests_go_on() -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        await client(keyring, ALICE)
        secrets.data = {"bob": BOB}
        await asyncio.sleep(REFRESH)
        asked = now()
        assert await client(keyring, ALICE) == "alice"
        assert now() == asked, "it does not wait"
        await asyncio.sleep(1)
        assert await client(keyring, ALICE) is None
        assert await client(keyring, BOB) == "bob"

    assert len(played(play).asked) == 2


def test_after_a_long_silence_a_request_waits_for_what_is_true_now() -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        await client(keyring, ALICE)
        secrets.data = {"bob": BOB}
        await asyncio.sleep(STALE)
        assert await client(keyring, ALICE) is None

    played(play)


@pytest.mark.parametrize(
    ("case", "change", "words"),
    [
        (
            "no right to read it",
            {"error": FORBIDDEN},
            "kubectl create rolebinding inferops-gateway-keys --namespace=chat --clusterrole=inferops-gateway-keys "
            "--serviceaccount=inferops-system:inferops-gateway",
        ),
        ("no such Secret", {"data": None}, "there is no Secret chat/keys: create it"),
        ("more than anybody has", {"data": {f"c{n}": ALICE for n in range(MOST_KEYS + 1)}}, "holds 1001 entries"),
        ("larger than the API allows", {"data": {"alice": "x" * (2**20 + 1)}}, "1 MiB"),
        ("no answer", {"error": AWAY}, "cannot be read now"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_where_keys_cannot_be_known_nobody_is_let_in(case: str, change: dict[str, object], words: str) -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        right = secrets.data
        for name, value in change.items():
            setattr(secrets, name, value)
        assert words in await refused(keyring)
        assert words in await refused(keyring)
        assert len(secrets.asked) == 1, "whoever has no key does not make us ask each time"
        secrets.error, secrets.data = None, right
        await asyncio.sleep(RETRY)
        assert await client(keyring, ALICE) == "alice"

    played(play)


@pytest.mark.parametrize(
    ("case", "change", "stays"),
    [
        ("the API server is away", {"error": AWAY}, True),
        ("the API server is overloaded", {"error": KubeError("get", 429, "TooManyRequests", "")}, True),
        ("the right was taken away", {"error": FORBIDDEN}, False),
        ("the Secret was deleted", {"data": None}, False),
    ],
)
def test_what_becomes_of_keys_that_were_known(case: str, change: dict[str, object], stays: bool) -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        assert await client(keyring, ALICE) == "alice"
        for name, value in change.items():
            setattr(secrets, name, value)
        await asyncio.sleep(REFRESH)
        await client(keyring, ALICE)
        await asyncio.sleep(1)
        if stays:
            assert await client(keyring, ALICE) == "alice"
            await asyncio.sleep(10 * STALE)
            assert await client(keyring, ALICE) == "alice"
        else:
            await refused(keyring)

    played(play)


def test_a_request_that_went_away_takes_nothing_along() -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        first = asyncio.create_task(client(keyring, ALICE))
        second = asyncio.create_task(client(keyring, ALICE))
        await asyncio.sleep(secrets.takes / 2)
        first.cancel()
        assert await second == "alice"

    assert len(played(play).asked) == 1


def test_bad_entries_are_told_once_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def play(secrets: Secrets, keyring: Keyring) -> None:
        secrets.data = {"alice": ALICE, "carol": "short!"}
        for _ in range(3):
            assert await client(keyring, ALICE) == "alice"
            await asyncio.sleep(REFRESH)

    played(play)
    assert caplog.text.count("Secret chat/keys: left out: carol: is shorter than") == 1
    assert "short!" not in caplog.text and ALICE not in caplog.text


class Kube:
    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        assert kind is SECRET
        return {**secret("keys", {"alice": ALICE}), "stringData": None} if name == "keys" else None


async def test_secrets_of_a_cluster_come_decoded() -> None:
    assert await KubeSecrets(Kube()).secret("chat", "keys") == {"alice": ALICE.encode()}
    assert await KubeSecrets(Kube()).secret("chat", "other") is None
