"""The options of `inferops run`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from inferops.cli.main import app
from inferops.cli.run import gateway_in


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
