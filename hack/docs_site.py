"""What the documentation needs to be a site as well: a hook of mkdocs, which mkdocs.yml names.

Pages are read in the repository too, where they lead to samples and code beside them. Those are no pages of a site: a
link to one becomes its path in the repository, if it is there. Decisions, runbooks and what other pages are not in the
navigation are added to it by their folders.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s]*|[^)\s:]*/)\)")
FOLDERS = {"Runbooks": "runbooks", "Decisions": "adr"}

log = logging.getLogger("mkdocs.plugins.docs_site")


def on_config(config: Any) -> Any:
    """Add the pages of the folders to the navigation, and those that it does not name yet."""
    docs = Path(config["docs_dir"])
    for title, folder in FOLDERS.items():
        pages = sorted((docs / folder).glob("*.md"))
        if pages:
            config["nav"].append({title: [page.relative_to(docs).as_posix() for page in pages]})
    named = set(_pages(config["nav"]))
    rest = [page.name for page in sorted(docs.glob("*.md")) if page.name not in named]
    if rest:
        config["nav"].append({"More": list(rest)})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text with links that leave the documentation as paths in the repository."""
    return inside(markdown, posixpath.dirname(f"docs/{page.file.src_uri}"))


def inside(markdown: str, folder: str) -> str:
    """`markdown` of a page in `folder`, a path of the repository, with what leads out of docs/ as a path."""

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2].partition("#")[0]))
        if target.startswith("docs/") and not (ROOT / target).is_dir():
            return link[0]
        if not (ROOT / target).exists():
            log.warning("%s: there is no %s", folder, target)
        return f"{link[1]} (`{target}`)"

    return LINK.sub(rewritten, markdown)


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [page for each in inner for page in _pages(each)]
