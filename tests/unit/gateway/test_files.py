"""Configuration from YAML files: the same resources, read anew when they change."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferops.gateway.sources import files as configuration
from inferops.gateway.sources.files import BadFile, Files
from inferops.gateway.table import ServiceKey, Table
from inferops.runtimes import ENGINES
from unit.gateway.resources import endpoint_slice, peers, pods, runtime, secret, service

LLAMA = ServiceKey("chat", "llama")


class Fleet:
    table: Table
    peers: int | None

    def update(self, table: Table, peers: int | None = None) -> None:
        self.table, self.peers = table, peers


def write(path: Path, *resources: Any) -> None:
    """As an editor does: another file takes the name."""
    text = resources[0] if isinstance(resources[0], str) else yaml.safe_dump_all(resources)
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def replicas(fleet: Fleet, key: ServiceKey = LLAMA) -> list[str]:
    return [replica.address for each in fleet.table.by_key[key].revisions for replica in each.replicas]


def read(path: Path) -> tuple[Files, Fleet]:
    fleet = Fleet()
    return Files([path], fleet), fleet


async def test_all_resources_of_a_folder_make_a_table(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service(revisions={"aaa": 100}, runtime={"name": "ours"}), runtime("ours", "sglang"))
    items = [endpoint_slice("s", pods("p-1")), secret("keys", {"alice": "a-long-api-key-1"})]
    others = {"kind": "Deployment", "metadata": {"name": "of no interest"}}
    write(tmp_path / "b.yml", {"kind": "List", "items": items}, others)
    write(tmp_path / "c.yaml", peers("10.0.0.1", "10.0.0.2"))
    (tmp_path / "notes.txt").write_text("not: [yaml")
    files, fleet = read(tmp_path)
    assert files.ready.is_set()
    assert replicas(fleet) == ["10.0.0.1:8000"]
    assert fleet.table.by_key[LLAMA].api is ENGINES["sglang"].api
    assert fleet.peers == 2
    assert await files.secret("chat", "keys") == {"alice": b"a-long-api-key-1"}
    assert await files.secret("other", "keys") is None


async def test_a_resource_without_a_namespace_is_in_default(tmp_path: Path) -> None:
    raw, sliced = service(revisions={"aaa": 100}), endpoint_slice("s", pods("p-1"))
    del raw["metadata"]["namespace"], sliced["metadata"]["namespace"]
    plain = {"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"alice": "a-long-api-key-1"}}
    write(tmp_path / "a.yaml", raw, sliced, plain)
    files, fleet = read(tmp_path / "a.yaml")
    assert replicas(fleet, ServiceKey("default", "llama")) == ["10.0.0.1:8000"]
    assert await files.secret("default", "keys") == {"alice": "a-long-api-key-1"}


async def test_changes_are_read_and_mistakes_leave_all_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.yaml"
    write(path, service(revisions={"aaa": 100}), endpoint_slice("s", pods("p-1")))
    files, fleet = read(path)
    write(path, service(revisions={"aaa": 100}), endpoint_slice("s", pods("p-1", "p-2")), secret("keys", {}))
    await files.look()
    assert replicas(fleet) == ["10.0.0.1:8000", "10.0.0.2:8000"]
    for mistake in ("kind: [", "kind: InferenceService", "just a word"):
        write(path, mistake)
        await files.look()
        await files.look()
        assert replicas(fleet) == ["10.0.0.1:8000", "10.0.0.2:8000"]
    assert caplog.text.count("everything stays as it was") == 3
    write(path, service("qwen"))
    await files.look()
    assert list(fleet.table.by_key) == [("chat", "qwen")]


async def test_it_goes_on_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "LOOK_EVERY", 0.001)
    path = tmp_path / "a.yaml"
    write(path, service())
    files, fleet = read(path)
    looking = asyncio.create_task(files.run())
    write(path, service("qwen"))
    async with asyncio.timeout(10):
        while LLAMA in fleet.table.by_key:
            await asyncio.sleep(0.001)
    looking.cancel()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "a.yaml: while parsing"),
        ("kind: InferenceService", "a.yaml: each document must be a resource with kind and metadata.name"),
        ("- a\n- list", "each document must be a resource"),
        ("metadata: {name: x}", "each document must be a resource"),
    ],
)
def test_what_cannot_be_read_at_first_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(BadFile, match=words):
        Files([tmp_path / "a.yaml"], Fleet())


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.yaml: .*No such file"):
        Files([tmp_path / "none.yaml"], Fleet())
