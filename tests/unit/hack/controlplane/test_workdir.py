"""Folders of clusters: in memory where there is room, and only those left behind are swept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controlplane import workdir
from controlplane.workdir import make_workdir, sweep


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stands in for the machine's folder in memory."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(workdir, "MEMORY", folder)
    monkeypatch.setattr(workdir, "ROOM", 0)
    return folder


def test_a_folder_in_use_is_left_alone_until_it_is_removed(memory: Path):
    made = make_workdir("hub")
    assert made.path.parent == memory
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700  # keys are in it
    assert sweep(memory) == []
    made.remove()
    assert list(memory.iterdir()) == []


def test_the_next_cluster_removes_what_a_killed_one_left(memory: Path):
    killed = make_workdir("hub")
    killed.path.joinpath("etcd").mkdir()
    os.close(killed.lock)  # as the kernel does
    made = make_workdir("hub")
    assert list(memory.iterdir()) == [made.path]
    made.remove()


def test_others_folders_are_not_swept(memory: Path):
    memory.joinpath("elsewhere").mkdir()
    memory.joinpath("elsewhere", "lock").touch()
    memory.joinpath("controlplane-being-made").mkdir()
    assert sweep(memory) == []


def test_without_room_in_memory_it_is_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(workdir, "ROOM", 1 << 62)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make_workdir("hub")
    assert made.path.parent == tmp_path
    made.remove()
