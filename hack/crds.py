"""Writes crds/, their templates in the chart, and docs/reference/api.md from the models in inferops.api, or checks that
they are up to date.

python hack/crds.py            writes them
python hack/crds.py --check    writes nothing; exits 1 and names the files that differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from api_reference import reference
from inferops.api.crd import custom_resource_definition
from inferops.api.resources import KINDS

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Generated from operator/inferops/api by `python hack/crds.py`. Do not edit.\n"
TEMPLATES = Path("charts/inferops/templates/crds")
LABELS = "  labels:\n    app.kubernetes.io/part-of: inferops\n"
# What the chart writes in place of these labels: its own, and whether the definition outlives the release. Argo CD goes
# by Helm's word for that where an Application is deleted, and by its own where something is no longer rendered.
CHART_METADATA = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
    argocd.argoproj.io/sync-options: Prune=false
  {{- end }}
  labels:
{{ include "inferops.labels" (dict "root" . "name" "") | indent 4 }}
"""


class _Dumper(yaml.SafeDumper):
    """Writes a part that stands in two places twice, where YAML would refer back by an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def generated() -> dict[Path, str]:
    """Every generated file, by its path from the root of the repository."""
    resources = {kind: custom_resource_definition(kind) for kind in KINDS}
    texts = {
        f"{kind.plural}.yaml": HEADER
        + yaml.dump(resource, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for kind, resource in resources.items()
    }
    return {
        **{Path("crds", name): text for name, text in texts.items()},
        **{TEMPLATES / name: chart_template(text) for name, text in texts.items()},
        Path("docs/reference/api.md"): reference(KINDS),
    }


def chart_template(text: str) -> str:
    """A CustomResourceDefinition as a template of the chart. Raises ValueError where it has other labels."""
    escaped = text.replace("{{", '{{ "{{" }}')
    if escaped.count(LABELS) != 1:
        raise ValueError(f"metadata.labels: expected once, as {LABELS!r}; adapt LABELS in hack/crds.py")
    return f"{{{{- if .Values.crds.enabled }}}}\n{escaped.replace(LABELS, CHART_METADATA)}{{{{- end }}}}\n"


def differing() -> list[Path]:
    """The files that are missing, out of date, or were generated for a kind that is gone."""
    files = generated()
    stale = [path for path, text in files.items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text]
    found = (path for folder in (Path("crds"), TEMPLATES) for path in (ROOT / folder).glob("*.yaml"))
    made = (path for path in found if HEADER in path.read_text())
    return sorted({*stale, *(path.relative_to(ROOT) for path in made)} - (files.keys() - set(stale)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file differs")
    if parser.parse_args().check:
        for path in differing():
            print(f"{path} differs from the models; run: python hack/crds.py", file=sys.stderr)
        return 1 if differing() else 0
    for path, text in generated().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
