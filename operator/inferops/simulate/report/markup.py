"""Writes HTML and SVG that is well-formed XML too: every text is escaped unless it was written here."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | float | None) -> Markup:
    """An element. Attributes: `_` stands for `-`, one at the end is left out; None leaves the attribute out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(each) for each in content)
    if not inner and name in ("meta", "path", "line", "rect", "circle", "polyline"):
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{inner}</{name}>")


def text(content: str) -> Markup:
    """Text as markup; characters that XML does not allow become spaces."""
    if isinstance(content, Markup):
        return content
    return Markup(escape("".join(each if each.isprintable() or each == "\n" else " " for each in content)))


def joined(*parts: str) -> Markup:
    return Markup("".join(text(part) for part in parts))


def _value(value: str | float) -> str:
    return text(value) if isinstance(value, str) else f"{value:.6g}"
