"""Pages in man(7): a few macros, and words that come out as they went in."""


def text(words: str) -> str:
    """Words as roff text: no word of ours is taken for a request, and a hyphen can be copied and pasted."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("~", "\\(ti")
    escaped = escaped.replace("^", "\\(ha").replace("\u2026", "\\&...").replace("\u2264", "\\(<=").replace("\u2265", "\\(>=")
    return "\\&" + escaped if escaped.startswith(".") else escaped


def title(name: str, section: int, version: str) -> str:
    """The head of a page. Names of commands are not to be torn apart at a line's end."""
    return f'.TH {name.upper()} {section} "" "jsrpd {version}" "jsrpd"\n.nh\n.ad l'


def heading(words: str) -> str:
    """A section."""
    return f'.SH "{words}"'


def paragraph(*sentences: str) -> str:
    """Each on a line of its own, as roff likes sentences."""
    return "\n".join([".PP", *map(text, sentences)])


def item(term: str, *sentences: str) -> str:
    """A bold term and what is to be said of it."""
    said = [text(sentence) for sentence in sentences if sentence]
    return "\n".join([".TP", f"\\fB{text(term)}\\fR", *(said or ["\\&"])])


def literal(words: str) -> str:
    """Lines as they are."""
    return "\n".join([".PP", ".RS 4", ".nf", *(text(line) or "\\&" for line in words.splitlines()), ".fi", ".RE"])
