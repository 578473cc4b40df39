"""The image, as far as can be seen without docker: its Dockerfile, the workflows, and the program as it lies."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import ROOT

LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
STEPS = [line.split(maxsplit=1) for line in LINES if line and not line.startswith("#")]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}|\./\.github/workflows/[\w-]+\.yaml")


def last_stage() -> list[list[str]]:
    begins = max(number for number, step in enumerate(STEPS) if step[0] == "FROM")
    return STEPS[begins:]


def test_every_stage_stands_on_a_version_with_its_digest() -> None:
    arguments = dict(step[1].split("=", 1) for step in STEPS if step[0] == "ARG")
    assert re.fullmatch(r"3\.1[1-9]\.\d+-slim-\w+", arguments["PYTHON"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", arguments["PYTHON_DIGEST"])
    stages = [step[1] for step in STEPS if step[0] == "FROM"]
    assert len(stages) == 2 and all(each.startswith("python:${PYTHON}@${PYTHON_DIGEST}") for each in stages)


def test_the_last_stage_is_nobodys_and_has_nothing_to_install_with() -> None:
    steps = last_stage()
    assert ["USER", "65532:65532"] in steps and steps[-1] == ["ENTRYPOINT", '["inferops"]']
    assert not any(step[0] == "ADD" for step in STEPS)
    copied = [step[1] for step in steps if step[0] == "COPY"]
    assert copied == ["--from=build /opt/inferops /opt/inferops"]
    [run] = [step[1] for step in steps if step[0] == "RUN"]
    assert run.startswith("rm -rf") and all(part in run for part in ("site-packages/*", "ensurepip", "bin/pip*"))


def test_what_is_copied_is_there_and_not_left_out_of_the_context() -> None:
    taken = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for step in STEPS if step[0] == "COPY" and "--from" not in step[1] for name in step[1].split()[:-1]}
    assert copied == taken and all((ROOT / name).exists() for name in taken)


def test_the_program_runs_from_where_nobody_can_write_and_leaves_nothing(tmp_path: Path) -> None:
    at = tmp_path / "opt"
    shutil.copytree(ROOT / "operator" / "inferops", at / "inferops", ignore=shutil.ignore_patterns("__pycache__"))
    paths = [at / "inferops" / "__main__.py", at / "inferops" / "cli" / "main.py"]
    mode = compileall.py_compile.PycInvalidationMode.UNCHECKED_HASH
    assert all(compileall.compile_file(path, quiet=1, invalidation_mode=mode) for path in paths)
    for path in (at, *at.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in at.rglob("*")}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(at), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nowhere"}
    command = [sys.executable, "-m", "inferops", "size", "Qwen/Qwen3-8B", "--hub", "off", "--gpu", "nvidia-l4"]
    done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "nvidia-l4" in done.stdout, done.stderr
    assert {path: path.stat().st_mtime_ns for path in at.rglob("*")} == before
    for path in (at, *at.rglob("*")):
        path.chmod(0o755)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_workflows_have_no_more_rights_than_they_name_and_no_action_that_may_change(path: Path) -> None:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"]["contents"] == "read", name
        used = [step["uses"] for step in job.get("steps", ()) if "uses" in step] + [
            job[key] for key in job if key == "uses"
        ]
        assert all(PINNED.fullmatch(each) for each in used), name
        assert "uses" in job or job["timeout-minutes"] <= 45, name
        for step in job.get("steps", ()):
            assert "${{ github.event" not in step.get("run", ""), name  # what others write is no part of a script
            if str(step.get("uses")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name
