"""YAML text → a tree of nodes that know their place. Nothing is typed here.

The tree is built from the parser's *events*, by a loop with a stack of its own: libyaml's compose()
overflows the C stack on deeply nested brackets, its events do not, and events know the line and
column of everything, also of aliases and duplicate keys. A scalar stays text: what it means depends
on where it stands, so that none of YAML 1.1's readings of `no`, `010`, `1e-5`, `12:30` can happen.

Not part of the language, each an error with its place: anchors, aliases, tags, merge keys,
directives, several documents, keys that are not words, duplicate keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import yaml

from convcalc.errors import DesignError, Problem, closest
from convcalc.language.faults import Problems, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bounds on what is read. The largest file of the zoo has 3 KB, 400 nodes and 7 levels.
MOST_BYTES = 2 << 20
MOST_NODES = 200_000
MOST_LEVELS = 64

# libyaml where PyYAML was built with it, else the same in Python, about 40 times slower.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What is not one of YAML's printable characters (its production c-printable), or is the byte order
# mark. Several small sets: one large one takes Python ten times as long to compile, and where a
# text is ASCII the first is enough.
_CONTROLS = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
_UNPRINTABLE = _CONTROLS + "|[\ud800-\udfff]|\ufeff|[\ufffe\uffff]"


class Node:
    """start, end: indices into the text."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class Scalar(Node):
    """A word, a text, an expression.

    text: its content after YAML's folding and escapes: for names and notes.
    raw: its content as it stands in the file, which begins at index `base`: for expressions.
    quoted: whether it stands in quotes or is a block (`|`, `>`).
    """

    __slots__ = ("base", "quoted", "raw", "text")

    def __init__(self, start: int, end: int, text: str, raw: str, base: int, quoted: bool) -> None:
        self.start = start
        self.end = end
        self.text = text
        self.raw = raw
        self.base = base
        self.quoted = quoted

    @property
    def empty(self) -> bool:
        """Nothing was written: `key:` alone."""
        return not self.text and not self.quoted


class Sequence(Node):
    """A list, in lines that begin with `- ` or (flow) in brackets."""

    __slots__ = ("flow", "items")

    def __init__(self, start: int, end: int, flow: bool) -> None:
        self.start = start
        self.end = end
        self.flow = flow
        self.items: list[Node] = []


class Mapping(Node):
    """Pairs of key and value, in the order of the file; no key stands twice."""

    __slots__ = ("entries", "flow")

    def __init__(self, start: int, end: int, flow: bool) -> None:
        self.start = start
        self.end = end
        self.flow = flow
        self.entries: list[tuple[Scalar, Node]] = []

    def get(self, key: str) -> Node | None:
        for name, value in self.entries:
            if name.text == key:
                return value
        return None


class Broken(Node):
    """Something whose fault was reported already."""

    __slots__ = ()


# --------------------------------------------------------------------------------- bytes


def read_file(path: str | os.PathLike[str]) -> Text:
    """The text of a file. Raises DesignError where there is none to be had."""
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise _no_text(f"there is no file {name!r}", _near_file(name)) from None
    except IsADirectoryError:
        raise _no_text(f"{name!r} is a folder, not a file", "name a file in it") from None
    except PermissionError:
        if os.path.isdir(name):  # Windows says so of a folder
            raise _no_text(f"{name!r} is a folder, not a file", "name a file in it") from None
        raise _no_text(f"{name!r} may not be read", "check the file's permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise _no_text(f"{name!r} cannot be read: {reason}") from None
    return decode(data, name)


def decode(data: bytes, name: str) -> Text:
    """The text of a file's bytes: UTF-8, with or without a byte order mark."""
    if len(data) > MOST_BYTES:
        raise _no_text(
            f"{name!r} is larger than {MOST_BYTES >> 20} MiB, which no design needs",
            "repeat layers with `n * Block` or `for:`",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _no_text(f"{name!r} is UTF-16", "save it as UTF-8")
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise _no_text(f"{name!r} is a binary file, not YAML") from None
        before = Text(name, data[: error.start].decode(errors="replace").removeprefix("\ufeff"))
        raise DesignError(
            [
                Problem(
                    f"byte 0x{data[error.start]:02x} is not UTF-8",
                    before.place(len(before.text)),
                    help="save the file as UTF-8",
                )
            ]
        ) from None
    return Text(name, text)


def _no_text(message: str, help: str | None = None) -> DesignError:
    return DesignError([Problem(message, help=help)])


def _near_file(name: str) -> str | None:
    folder, base = os.path.split(name)
    try:
        near = closest(base, sorted(os.listdir(folder or os.curdir))[:10_000])
    except (OSError, ValueError):
        return None
    return f"did you mean {os.path.join(folder, near)!r}?" if near else None


# --------------------------------------------------------------------------------- events


def _unprintable(text: str) -> re.Match[str] | None:
    return re.search(_CONTROLS if text.isascii() else _UNPRINTABLE, text)


def read(text: Text, problems: Problems) -> Node | None:
    """The tree of a text; None where it has no content or is not YAML. Never raises.

    Faults are added to `problems`; where one leaves no meaning, a `Broken` node stands.
    """
    bad = _unprintable(text.text)
    if bad:
        problems.at(text, bad.start(), bad.end(), *_describe_character(bad[0]))
        return None
    if len(text.text) > MOST_BYTES:
        problems.at(text, 0, 1, f"the text is longer than {MOST_BYTES >> 20} MiB")
        return None
    builder = _Builder(text, problems)
    try:
        for event in _events(text.text):
            if not builder.take(event):
                return None
    except yaml.MarkedYAMLError as error:
        explain(text, error, problems)
        return None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # ValueError: an escape such as "\U7fffffff" in the loader that is written in Python
        problems.add(Problem(f"{text.name} is not YAML: {error}".partition("\n")[0]))
        return None
    if builder.root is None and not problems:
        problems.add(
            Problem(
                f"{text.name} is empty",
                help="a design needs at least `convcalc: 1`, `input:` and `layers:`",
            )
        )
    return builder.root


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _describe_character(character: str) -> tuple[str, str | None]:
    if character == "\0":
        return "a NUL character: this is a binary file, not YAML", None
    if "\ud800" <= character <= "\udfff":
        return "half of a surrogate pair, which no text may hold", None
    if character == "\ufeff":
        return "a byte order mark inside the text", "remove it"
    return f"the control character U+{ord(character):04X}", "remove it"


class _Builder:
    """Builds the tree, one event at a time, without recursion."""

    def __init__(self, text: Text, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.root: Node | None = None
        self.nodes = 0
        self.documents = 0
        self.stack: list[Sequence | Mapping] = []
        # One entry for each open mapping: its keys, and the key whose value is awaited.
        self.keys: list[dict[str, Scalar]] = []
        self.pending: list[Scalar | None] = []
        self.handlers: dict[type, Callable[[Any], bool]] = {
            yaml.ScalarEvent: self.scalar,
            yaml.SequenceStartEvent: self.sequence,
            yaml.MappingStartEvent: self.mapping,
            yaml.SequenceEndEvent: self.close,
            yaml.MappingEndEvent: self.close,
            yaml.AliasEvent: self.alias,
            yaml.DocumentStartEvent: self.document,
        }

    def take(self, event: Any) -> bool:
        """Whether to go on."""
        handler = self.handlers.get(event.__class__)
        return handler is None or handler(event)

    def report(self, start: int, end: int, message: str, help: str | None = None) -> None:
        self.problems.at(self.text, start, end, message, help)

    # ---------------------------------------------------------------- one method an event

    def document(self, event: Any) -> bool:
        self.documents += 1
        start = event.start_mark.index
        if self.documents > 1:
            self.report(start, start + 3, "a second document; a file holds one design")
            return False
        if event.version or event.tags:
            self.report(start, start + 1, "directives (%) are not part of the language")
        return True

    def scalar(self, event: Any) -> bool:
        start, end = event.start_mark.index, event.end_mark.index
        value = event.value
        style = event.style
        if not style:
            raw, base = self.text.text[start:end], start
        elif style in "|>":
            base = self.text.text.find("\n", start, end) + 1 or end
            raw = self.text.text[base:end]
        else:
            base = start + 1
            raw = self.text.text[base : end - 1]
            if "\\" in raw or "''" in raw:
                raw = value  # escapes shift the columns behind them: near enough
                bad = _unprintable(value)
                if bad:
                    message, _ = _describe_character(bad[0])
                    self.report(start, end, f"an escape for {message}", "leave it away")
        return self.add(event, Scalar(start, end, value, raw, base, bool(style)))

    def sequence(self, event: Any) -> bool:
        mark = event.start_mark.index
        return self.open(event, Sequence(mark, mark + 1, bool(event.flow_style)))

    def mapping(self, event: Any) -> bool:
        mark = event.start_mark.index
        return self.open(event, Mapping(mark, mark + 1, bool(event.flow_style)))

    def alias(self, event: Any) -> bool:
        start, end = event.start_mark.index, event.end_mark.index
        self.report(
            start,
            end,
            "aliases (*name) are not part of the language",
            "use vars: or blocks: for what stands in several places",
        )
        return self.place(Broken(start, end))

    def open(self, event: Any, node: Sequence | Mapping) -> bool:
        if len(self.stack) >= MOST_LEVELS:
            self.report(node.start, node.end, f"nested more than {MOST_LEVELS} levels deep")
            return False
        if not self.add(event, node):
            return False
        self.stack.append(node)
        if isinstance(node, Mapping):
            self.keys.append({})
            self.pending.append(None)
        return True

    def close(self, event: Any) -> bool:
        node = self.stack.pop()
        node.end = event.end_mark.index
        if isinstance(node, Mapping):
            self.keys.pop()
            self.pending.pop()
        if node.flow:
            self.split_call(node)
        return True

    # ---------------------------------------------------------------- placing a node

    def add(self, event: Any, node: Node) -> bool:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            self.report(
                node.start,
                node.end,
                f"more than {MOST_NODES:,} entries, which no design needs",
                "repeat layers with `n * Block` or `for:`",
            )
            return False
        if event.anchor is not None or event.tag is not None:
            what = "anchors (&name)" if event.anchor is not None else "tags (!name)"
            self.report(
                node.start,
                node.start + 1,
                f"{what} are not part of the language",
                "use vars: or blocks:" if event.anchor is not None else "remove the tag",
            )
            if isinstance(node, Scalar):
                node = Broken(node.start, node.end)
        return self.place(node)

    def place(self, node: Node) -> bool:
        if not self.stack:
            self.root = node
            return True
        parent = self.stack[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return True
        key = self.pending[-1]
        if key is None:
            return self.take_key(node)
        self.pending[-1] = None
        if key.base >= 0:  # not a duplicate
            parent.entries.append((key, node))
        return True

    def take_key(self, node: Node) -> bool:
        if isinstance(node, Broken):
            self.pending[-1] = Scalar(node.start, node.end, "", "", -1, False)
            return True
        if not isinstance(node, Scalar):
            self.report(node.start, node.end, "a key must be a word, not a list or a mapping")
            return False
        first = self.keys[-1].get(node.text)
        if first is not None and _balance(node.text) == 0:
            line = self.text.place(first.start).line
            self.report(
                node.start,
                node.end,
                f"{node.text!r} stands here twice, first on line {line}",
                "merge the two, or rename one",
            )
            node.base = -1
        elif node.text == "<<" and not node.quoted:
            self.report(
                node.start,
                node.end,
                "merge keys (<<) are not part of the language",
                "use vars: or blocks:",
            )
            node.base = -1
        else:
            self.keys[-1][node.text] = node
        self.pending[-1] = node
        return True

    def split_call(self, node: Sequence | Mapping) -> None:
        """Inside [ ] and { } YAML splits `Conv(64, 3)` at its comma; say so, once a list."""
        if isinstance(node, Mapping):
            parts = [part for pair in node.entries for part in pair]
        else:
            parts = list(node.items)
        for part in parts:
            if not isinstance(part, Scalar) or part.quoted or _balance(part.text) == 0:
                continue
            end = self.end_of_call(part.start, node.end)
            call = " ".join(self.text.text[part.start : end].split())
            brackets = "{ }" if isinstance(node, Mapping) else "[ ]"
            self.report(
                part.start,
                end,
                f"inside {brackets} YAML splits this at the comma between the parentheses",
                "join steps with ->, or put each on a line of its own that begins with '- '; "
                f'or quote it: "{call}"',
            )
            if isinstance(node, Mapping):
                node.entries.clear()
            else:
                node.items[:] = [Broken(part.start, end)]
            self.mark_broken(node)
            return

    def mark_broken(self, node: Sequence | Mapping) -> None:
        """Put a Broken in the place of a node that was just closed."""
        broken = Broken(node.start, node.end)
        if not self.stack:
            self.root = broken
            return
        parent = self.stack[-1]
        if isinstance(parent, Sequence):
            parent.items[-1] = broken
        elif parent.entries and parent.entries[-1][1] is node:
            parent.entries[-1] = (parent.entries[-1][0], broken)

    def end_of_call(self, start: int, stop: int) -> int:
        """The index behind the parenthesis that closes the first one after `start`."""
        depth = 0
        for index in range(start, min(stop, start + 1000)):
            character = self.text.text[index]
            if character == "(":
                depth += 1
            elif character == ")":
                depth -= 1
                if depth <= 0:
                    return index + 1
        return start + 1


def _balance(text: str) -> int:
    return text.count("(") - text.count(")")


# --------------------------------------------------------------------------------- YAML's errors

# Compiled where an error is explained: a start of the program pays for none of them.
# A dash with no space behind it, then a layer: `-Conv2d(64, 3)`.
_TIGHT_DASH = r"\s*-(?=[A-Za-z(0-9])"
_KEY_LINE = r"\s*(?P<key>[\w-]+)\s*:(?:\s+(?P<value>.*))?$"
_TEXT_LINE = r"\s*(?:- )?(?P<key>[\w-]+)\s*:\s+(?P<value>\S.*:(?:\s.*)?)$"
_STEP_LINE = r"\s*- (?P<step>[^#]*[^#\s])"


def explain(text: Text, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    """YAML's own message says little to someone who writes a network: say what to write."""
    problem = error.problem or ""
    context = error.context or ""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        problems.add(Problem(f"{text.name} is not YAML: {problem or context}"))
        return
    opened = error.context_mark
    at = min(mark.index, max(len(text.text) - 1, 0))
    line = text.line(mark.line + 1)

    for row in {mark.line, opened.line if opened else mark.line, mark.line - 1}:
        dash = re.match(_TIGHT_DASH, text.line(row + 1)) if row >= 0 else None
        if dash:
            index = _index(text, row) + dash.end() - 1
            help = f"write - {text.line(row + 1).strip()[1:]}"
            problems.at(text, index, index + 1, "a step begins with a dash and a space", help)
            return

    if "mapping values are not allowed" in problem:
        problems.at(text, at, at + 1, *_explain_colon(text, mark.line, line))
    elif opened and "could not find expected ':'" in problem:
        word = text.line(opened.line + 1).strip()
        index = opened.index
        key = word if word.isidentifier() else None
        problems.at(
            text,
            index,
            index + len(word),
            "this line is neither `key: value` nor a step that begins with '- '",
            f"write {key}:" if key else "check the indentation, and the colon behind a key",
        )
    elif opened and "quoted scalar" in context and "end of stream" in problem:
        index = opened.index
        problems.at(text, index, index + 1, "this quote is never closed")
    elif "escape" in problem:
        problems.at(text, at, at + 1, "unknown escape", "in 'single quotes' \\ is a plain \\")
    elif "node content" in problem:
        problems.at(text, at, at + 1, "something is missing before this")
    elif opened and "flow" in context:
        problems.at(text, at, at + 1, *_explain_flow(text, opened.index, at))
    elif "cannot start any token" in problem:
        problems.at(text, at, at + 1, *_explain_character(text.text[at : at + 1]))
    elif "alias" in context or "anchor" in context:
        what = "aliases (*)" if "alias" in context else "anchors (&)"
        start = opened.index if opened else at
        help = "quote an expression with * or & that YAML would take for one"
        problems.at(text, start, start + 1, f"{what} are not part of the language", help)
    elif "directive" in context or "YAML document" in problem:
        problems.at(text, at, at + 1, "directives (%) are not part of the language", "remove it")
    elif "block scalar" in context:
        problems.at(text, at, at + 1, "a text that begins with | or > stands on the lines below it")
    elif "did not find expected" in problem or "but found" in problem:
        problems.at(
            text,
            at,
            at + 1,
            "this does not fit the lines above it",
            "check the indentation: entries of one list or mapping begin in the same column",
        )
    else:
        problems.at(text, at, at + 1, f"this is not YAML: {problem or context}")


def _explain_flow(text: Text, opened: int, at: int) -> tuple[str, str]:
    """Something within the [ or { at the index `opened` that cannot stand there."""
    if text.text[at] in "[{":
        return (
            "inside [ ] and { } an expression with brackets needs quotes",
            'write "skip[0]" for skip[0]',
        )
    bracket, where = text.text[opened : opened + 1], text.place(opened)
    help = "close it, or quote the entry: inside [ ] and { } an expression with brackets, "
    help += "commas or ': ' needs quotes"
    place = f"line {where.line}, column {where.column}"
    return f"the {bracket} of {place} is not closed before this", help


def _explain_colon(text: Text, row: int, line: str) -> tuple[str, str]:
    key = re.match(_KEY_LINE, line)
    above = row
    while above > 0 and (not text.line(above).strip() or text.line(above).lstrip()[0] == "#"):
        above -= 1
    step = re.match(_STEP_LINE, text.line(above)) if above > 0 else None
    if key and step and not re.match(r"[\w-]+\s*:(\s|$)", step["step"]):
        value = (key["value"] or "").strip()
        if key["key"] == "name":
            return (
                "a step that is an expression takes no `name:` below it",
                f"write - {value or 'name'} = {step['step']}",
            )
        return (
            f"a step that is an expression takes no `{key['key']}:` below it",
            f"write do: {step['step']}, and {key['key']}: beside it",
        )
    tight = re.match(r"\s*([\w-]+):(\S.*)", text.line(above)) if above > 0 else None
    if key and tight:
        return (
            "the line above is no `key: value`: its colon has no space behind it",
            f"write {tight[1]}: {tight[2]}",
        )
    quoted = re.match(_TEXT_LINE, line)
    if quoted and quoted["key"] in ("name", "cite", "notes"):
        shown = quoted["value"].replace("\\", "\\\\").replace('"', '\\"')
        return (
            "a text with ': ' in it must be quoted",
            f'write {quoted["key"]}: "{shown}"',
        )
    if key and above > 0:
        return (
            "this line is indented below one that has its value already",
            "check the indentation, and the line above",
        )
    return (
        "a second ': ' on one line",
        "put what follows it on a line of its own, or quote it",
    )


def _explain_character(character: str) -> tuple[str, str]:
    if character == "\t":
        return "a tab cannot indent a line", "use spaces"
    return f"YAML gives {character!r} at the beginning of a value no meaning", "quote the value"


def _index(text: Text, row: int) -> int:
    """The index of the first character of a row, from 0."""
    return sum(len(line) for line in text.text.splitlines(keepends=True)[:row])
