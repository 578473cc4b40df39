"""The chart's README follows from the comments of its values, and nothing is in one place alone."""

from __future__ import annotations

import json

import pytest

import chart
import crds

VALUES = """\
# The head of the file.

image:
  # Its name.
  repository: inferops
  # Its tag, which may be left out;
  # then it is the chart's.
  tag: ""

# Many
# of | them.
labels: {}
pod:
  # As a whole.
  context:
    user: 1
  limits:
    # A number, or none.
    count:
"""
SCHEMA = {
    "properties": {
        "image": {"properties": {"repository": {}, "tag": {}}},
        "labels": {},
        "pod": {"properties": {"context": {"properties": {"user": {}}}, "limits": {"$ref": "#/definitions/limits"}}},
    },
    "definitions": {"limits": {"properties": {"count": {}}}},
}


def test_that_each_value_has_the_comment_above_it() -> None:
    assert [(each.path, each.default, each.comment) for each in chart.values(VALUES)] == [
        ("image.repository", "inferops", "Its name."),
        ("image.tag", "", "Its tag, which may be left out; then it is the chart's."),
        ("labels", {}, "Many of | them."),
        ("pod.context", {"user": 1}, "As a whole."),
        ("pod.limits.count", None, "A number, or none."),
    ]


def test_the_table() -> None:
    rows = chart.readme(VALUES).splitlines()[-5:]
    assert rows[1:3] == [
        '| `image.tag` | `""` | Its tag, which may be left out; then it is the chart\'s. |',
        "| `labels` | `{}` | Many of \\| them. |",
    ]


def test_that_a_value_without_a_comment_is_named() -> None:
    with pytest.raises(ValueError, match=r"image\.tag: has no comment"):
        chart.values(VALUES.replace("  # then it is the chart's.\n", "\n"))


def test_that_schema_and_values_are_of_the_same_names() -> None:
    assert chart.unlike(VALUES, SCHEMA) == []
    more = {**SCHEMA, "properties": {**SCHEMA["properties"], "extra": {}}}
    assert chart.unlike(VALUES, more) == ["values.yaml: has no extra, as values.schema.json has"]
    assert chart.unlike(VALUES + "# New.\nextra: 1\n", SCHEMA) == [
        "values.schema.json: has no extra, as values.yaml has"
    ]


def test_that_every_object_of_the_schema_is_closed_but_those_of_kubernetes() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())

    def walk(path: str, each: dict[str, object]) -> None:
        properties = each.get("properties")
        if isinstance(properties, dict):
            assert each.get("additionalProperties") is False or path.startswith("definitions/volumes"), path
            for name, below in properties.items():
                walk(f"{path}/{name}", below)

    walk("", schema)
    for name, definition in schema["definitions"].items():
        walk(f"definitions/{name}", definition)


def test_that_a_definition_becomes_a_template_that_renders_to_it() -> None:
    text = f'{crds.HEADER}metadata:\n  name: x\n{crds.LABELS}spec: "{{{{ of a user\'s }}}}"\n'
    template = crds.chart_template(text)
    assert template.startswith("{{- if .Values.crds.enabled }}\n") and template.endswith("{{- end }}\n")
    assert '{{ "{{" }} of a user\'s }}' in template and "helm.sh/resource-policy: keep" in template
    with pytest.raises(ValueError, match=r"metadata\.labels"):
        crds.chart_template(text.replace("part-of", "name"))
