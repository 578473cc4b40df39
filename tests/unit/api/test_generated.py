"""The generated files are those that the models make."""

import subprocess
import sys
from pathlib import Path

import pytest

import crds


def test_the_repository_holds_what_the_models_make() -> None:
    assert crds.differing() == []


@pytest.mark.parametrize(
    ("case", "path", "content"),
    [
        ("changed", "crds/accelerators.yaml", "kind: Nothing\n"),
        ("missing", "docs/reference/api.md", None),
        ("left over", "crds/gone.yaml", crds.HEADER),
    ],
)
def test_a_file_that_differs_is_named(
    case: str, path: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in crds.generated().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / path).unlink(missing_ok=True) if content is None else (tmp_path / path).write_text(content)
    monkeypatch.setattr(crds, "ROOT", tmp_path)
    assert crds.differing() == [Path(path)]
    monkeypatch.setattr(sys, "argv", ["crds.py", "--check"])
    assert crds.main() == 1


def test_generating_twice_gives_the_same_bytes() -> None:
    """In a process of its own, whose hashes are seeded otherwise."""
    program = "import crds, sys; sys.stdout.write(''.join(crds.generated().values()))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "".join(crds.generated().values())
