"""Reads a report as a browser would: its elements in order, and what is wrong with them."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset(["meta", "link", "input", "br", "img", "hr", "col"])


class Read(HTMLParser):
    """The elements of a document, with their attributes; an end tag without a start fails."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:80]}")

    @property
    def text(self) -> str:
        """Return all words with single spaces."""
        return " ".join("".join(self.words).split())

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, in order."""
        return [value or "" for _, found, value in self.attributes if found == name]

    def problems(self) -> list[str]:
        """Return what a report must not have."""
        found = [f"<{tag}> is open" for tag in self.open]
        ids = self.values("id")
        found += [f"id {one} twice" for one in {one for one in ids if ids.count(one) > 1}]
        for tag, name, value in self.attributes:
            if name.startswith("on") or name == "style":
                found.append(f"{tag} {name}={value}")
            if name == "href" and not (value or "").startswith(("#", "https://")):
                found.append(f"{tag} href={value}")
            if name == "href" and (value or "").startswith("#") and (value or "")[1:] not in ids:
                found.append(f"href={value} leads nowhere")
            if name in ("src", "srcset", "action", "srcdoc"):
                found.append(f"{tag} {name}")
        found += [f"<{tag}>" for tag, _ in self.tags if tag in ("script", "iframe", "object")]
        return found
