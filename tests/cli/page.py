# SPDX-License-Identifier: BSD-3-Clause
"""What a page of peer report has, read as strictly as a person would like it to be."""
import html.parser
import json
import math
import re

VOID = ("meta", "link", "br", "img", "hr", "input")


class Page(html.parser.HTMLParser):
    """Elements that close in order; figures by their place in the document of --json, as lists."""

    def __init__(self, text):
        super().__init__()
        self.open, self.figures, self.ids, self.words, self.attributes = [], {}, [], [], []
        self.tags, self.plots, self.rows = {}, [], 0
        self.in_plots = False
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        assert len(self.ids) == len(set(self.ids)), f"an id is there twice: {self.ids}"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in VOID and tag not in ("path",):
            self.open.append(tag)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if "id" in given:
            self.ids.append(given["id"])
        self.in_plots = tag == "script" and given.get("id") == "plots"
        if "data-json" in given and "data-v" in given:
            self.figures.setdefault(given["data-json"], []).append(float(given["data-v"]))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag == "path":
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.in_plots:
            self.plots = json.loads(data)
            self.in_plots = False
        elif not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def text(self):
        return " ".join(self.words)

    def plot(self, name):
        found = [plot for plot in self.plots if plot["id"] == f"plot-{name}"]
        assert len(found) == 1, (name, [plot["id"] for plot in self.plots])
        return found[0]


def value_at(document, path):
    """Of a document of --json, by its place; None for what it does not tell."""
    for place in path.split("."):
        document = document.get(place) if isinstance(document, dict) else None
    return document


def is_repeated(values, wanted):
    """The same figures in each table that has them."""
    return bool(wanted) and len(values) % len(wanted) == 0 and all(
        math.isclose(value, wanted[i % len(wanted)], rel_tol=1e-6, abs_tol=1e-9) for i, value in enumerate(values))


def check_figures(page, *documents):
    """All figures of the page with a place are those of the documents. What one of them does not tell did not happen,
    or has no figure in the page either."""
    assert len(page.figures) > 40, sorted(page.figures)
    for path, values in page.figures.items():
        wanted = [value_at(document, path) for document in documents]
        told = [value for value in wanted if value is not None]
        assert told, (path, values)
        assert is_repeated(values, told) or is_repeated(values, [value or 0 for value in wanted]), (path, values, wanted)


def check_alone(page):
    """It needs nothing beside itself, and asks for nothing."""
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name, value)
        if name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any(re.search("default-src 'none'.*script-src ('sha256-[^']{44}' 'sha256-[^']{44}'|'none')$", value)
               for value in policy), policy
