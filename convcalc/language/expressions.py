"""The expressions in scalars: text → syntax trees. Nothing is evaluated here.

    step      := [NAME ['[' expr ']'] '='] expr
    signature := NAME ['(' NAME ['=' expr] {',' NAME ['=' expr]} ')']
    expr      := chain ['if' or 'else' expr]
    chain     := or {'->' or}
    or        := Python's operators and precedence: or, and, not, comparisons (also in, and
                 a < b < c), + -, * / // %, unary -, **, then call, index, attribute, atom
    call      := NAME '(' expr {',' expr} {',' NAME '=' expr} ')'
    atom      := number | 'word' | NAME | true | false | none | '(' expr ')' | (a, b) | [a, b]

Every node of a tree holds the indices `start` and `end` of its stretch in the file. Trees are
shallow whatever the text: operators of one rank make one flat node, and nesting is bounded, so that
no walk over one comes near Python's limit of recursion.
"""

from __future__ import annotations

import re

from convcalc.language.faults import Fault

#: Bounds on one expression.
MOST_CHARACTERS = 200_000
MOST_NESTED = 20
MOST_DIGITS = 300

# --------------------------------------------------------------------------------- trees


class Expr:
    """A part of an expression."""

    __slots__ = ("end", "start")

    start: int
    end: int


class Literal(Expr):
    """An int, true, false, none, or (a str) a word in quotes."""

    __slots__ = ("value",)

    def __init__(self, value: int | bool | str | None, start: int, end: int) -> None:
        self.value = value
        self.start = start
        self.end = end


class Decimal(Expr):
    """A number that is not whole, exact: digits · 10^exponent."""

    __slots__ = ("digits", "exponent")

    def __init__(self, digits: int, exponent: int, start: int, end: int) -> None:
        self.digits = digits
        self.exponent = exponent
        self.start = start
        self.end = end


class Name(Expr):
    __slots__ = ("faulty", "name")

    def __init__(self, name: str, start: int, end: int) -> None:
        self.faulty = False  # set where a check has reported it
        self.name = name
        self.start = start
        self.end = end


class ListExpr(Expr):
    __slots__ = ("items",)

    def __init__(self, items: list[Expr], start: int, end: int) -> None:
        self.items = items
        self.start = start
        self.end = end


class Keyword:
    """An argument given by name; start and end are those of the name."""

    __slots__ = ("end", "name", "start", "value")

    def __init__(self, name: str, value: Expr, start: int, end: int) -> None:
        self.name = name
        self.value = value
        self.start = start
        self.end = end


class Call(Expr):
    __slots__ = ("callee", "checked", "faulty", "named", "positional")

    def __init__(
        self, callee: Name, positional: list[Expr], named: list[Keyword], start: int, end: int
    ) -> None:
        self.faulty = False  # set where a check has reported it
        self.checked = False  # set where its arguments are known to fit what it always calls
        self.callee = callee
        self.positional = positional
        self.named = named
        self.start = start
        self.end = end


class Index(Expr):
    __slots__ = ("base", "index")

    def __init__(self, base: Expr, index: Expr, start: int, end: int) -> None:
        self.base = base
        self.index = index
        self.start = start
        self.end = end


class Attribute(Expr):
    __slots__ = ("base", "name", "name_start")

    def __init__(self, base: Expr, name: str, name_start: int, start: int, end: int) -> None:
        self.base = base
        self.name = name
        self.name_start = name_start
        self.start = start
        self.end = end


class Unary(Expr):
    """operator: "-", "+" or "not"."""

    __slots__ = ("operand", "operator")

    def __init__(self, operator: str, operand: Expr, start: int, end: int) -> None:
        self.operator = operator
        self.operand = operand
        self.start = start
        self.end = end


class Operation(Expr):
    """first op₁ x₁ op₂ x₂ …: operators of one rank, from the left. `rest` holds
    (operator, its index, operand). Comparisons hold between neighbours, as in Python."""

    __slots__ = ("first", "rank", "rest")

    def __init__(self, first: Expr, rank: int) -> None:
        self.first = first
        self.rank = rank
        self.rest: list[tuple[str, int, Expr]] = []
        self.start = first.start
        self.end = first.end


class Ternary(Expr):
    """`then if condition else otherwise`."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Expr, then: Expr, otherwise: Expr) -> None:
        self.condition = condition
        self.then = then
        self.otherwise = otherwise
        self.start = then.start
        self.end = otherwise.end


class Chain(Expr):
    """a -> b -> c."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Expr]) -> None:
        self.parts = parts
        self.start = parts[0].start
        self.end = parts[-1].end


class BrokenExpr(Expr):
    """An expression whose fault was reported already."""

    __slots__ = ()

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


class Binding:
    """The `name =` or `name[index] =` before a step."""

    __slots__ = ("end", "index", "name", "start")

    def __init__(self, name: str, index: Expr | None, start: int, end: int) -> None:
        self.name = name
        self.index = index
        self.start = start
        self.end = end


class Parameter:
    """A parameter of a block or function; `default` is None where it must be given."""

    __slots__ = ("default", "end", "name", "start")

    def __init__(self, name: str, default: Expr | None, start: int, end: int) -> None:
        self.name = name
        self.default = default
        self.start = start
        self.end = end


class Signature:
    """`Name(a, b=1)`: what stands before the colon of a block or function.

    parameters: None where there are no parentheses.
    """

    __slots__ = ("end", "name", "parameters", "start")

    def __init__(self, name: str, parameters: list[Parameter] | None, start: int, end: int) -> None:
        self.name = name
        self.parameters = parameters
        self.start = start
        self.end = end


# --------------------------------------------------------------------------------- tokens

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<number>[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>'[^'\n]*'|"[^"\n]*")
      | (?P<op>->|\*\*|//|==|!=|<=|>=|[-+*/%()\[\],=<>.])
      | (?P<end>$)
    )""",
    re.X,
)

_COMPARE = 4
_RANKS = {
    "or": 1,
    "and": 2,
    "in": _COMPARE,
    "not": _COMPARE,  # of `not in`
    "==": _COMPARE,
    "!=": _COMPARE,
    "<": _COMPARE,
    "<=": _COMPARE,
    ">": _COMPARE,
    ">=": _COMPARE,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
}
_NOT = 3

_CONSTANTS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "none": None,
    "None": None,
    "null": None,
}
#: Names with a meaning of their own, which nothing may be called by.
RESERVED = frozenset({*_CONSTANTS, "and", "or", "not", "in", "if", "else", "input"})

# What people write who come from elsewhere: what it is, what to write.
_FOREIGN = {
    "→": "write ->",
    "⟶": "write ->",
    "×": "write *",
    "·": "write *",
    "÷": "write /",
    "−": "write - (this is the minus sign U+2212)",
    "–": "write - (this is a dash, U+2013)",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "“": "write '…'",
    "”": "write '…'",
    "‘": "write '…'",
    "’": "write '…'",
    "&": "write `and`",
    "|": "join steps with ->, conditions with `or`",
    "!": "write `not`, or !=",
    "?": "write (a if condition else b)",
    ":": "write (a if condition else b) for a choice; name = value for an argument",
    "^": "write **",
    "~": "write none",
    ";": "join steps with ->",
    "#": "a comment needs a space before the #",
    "{": "a list stands in [ ] or ( )",
    "}": "a list stands in [ ] or ( )",
    "'": "this quote is never closed",
    '"': "this quote is never closed",
    "\\": "a long expression goes on below without it, as long as the next line is indented",
}

# YAML 1.1 reads these as true and false.
_YAML_BOOLEANS = {
    "yes": "true",
    "on": "true",
    "no": "false",
    "off": "false",
    "TRUE": "true",
    "FALSE": "false",
}


def yaml_boolean(name: str) -> str | None:
    """What to write for a word that YAML 1.1 takes for a boolean, or None."""
    return _YAML_BOOLEANS.get(name) or _YAML_BOOLEANS.get(name.lower())


class _Parser:
    """A Pratt parser over the tokens of one text, whose first character has the index `base`."""

    def __init__(self, raw: str, base: int) -> None:
        if len(raw) > MOST_CHARACTERS:
            raise Fault(
                f"an expression of {len(raw):,} characters; {MOST_CHARACTERS:,} are the most",
                base,
                base + 1,
                "put steps on lines of their own",
            )
        self.raw = raw
        self.base = base
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.at = 0
        self.depth = 0
        self.split()

    def split(self) -> None:
        raw, base = self.raw, self.base
        match = _TOKEN.match
        index = 0
        while True:
            token = match(raw, index)
            if token is None:
                raise self.bad_character(index)
            kind = token.lastgroup
            assert kind is not None
            start, index = token.span(kind)
            self.kinds.append(kind)
            self.texts.append(token[kind])
            self.starts.append(base + start)
            self.ends.append(base + index)
            if kind == "end":
                return

    def bad_character(self, index: int) -> Fault:
        raw = self.raw
        while raw[index].isspace():
            index += 1
        character = raw[index]
        start = self.base + index
        help = _FOREIGN.get(character)
        if help is None and character.isalnum():
            help = "names are made of the letters a to z, digits and _"
        if character in "'\"":
            return Fault("a quote that is never closed", start, start + 1)
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        return Fault(f"{shown!r} has no meaning in an expression", start, start + 1, help)

    # ---------------------------------------------------------------- tokens

    def accept(self, text: str) -> bool:
        if self.texts[self.at] == text and self.kinds[self.at] != "word":
            self.at += 1
            return True
        return False

    def found(self) -> str:
        """The token at hand, for a message."""
        text = self.texts[self.at]
        return f"found {text!r}" if text else "the expression ends"

    def fault(self, message: str, help: str | None = None) -> Fault:
        """A fault at the token at hand; at the end, behind the last one."""
        at = self.at
        if self.kinds[at] == "end" and at > 0:
            return Fault(message, self.ends[at - 1], self.ends[at - 1] + 1, help)
        return Fault(message, self.starts[at], max(self.ends[at], self.starts[at] + 1), help)

    def expect(self, text: str, after: str) -> None:
        if not self.accept(text):
            raise self.fault(f"{text!r} is missing {after}: {self.found()}")

    def finish(self) -> None:
        """Raises unless everything was read."""
        if self.kinds[self.at] == "end":
            return
        text = self.texts[self.at]
        if text in (")", "]"):
            raise self.fault(f"{text!r} closes nothing")
        if text == "=":
            raise self.fault(
                "'=' can only stand behind a name at the beginning of a step",
                "write name = chain; two values are compared with ==",
            )
        if text == "else":
            raise self.fault("'else' without 'if'", "write (a if condition else b)")
        if text == ",":
            raise self.fault(
                "a comma between two expressions",
                "join steps with ->; a list stands in parentheses",
            )
        previous = self.texts[self.at - 1] if self.at else ""
        help = "an operator is missing, or -> between two steps"
        if self.kinds[self.at] == "name" and self.kinds[self.at - 1] == "number":
            help = f"write {previous} * {text}"
        raise self.fault(f"{text!r} stands where the expression should end", help)

    # ---------------------------------------------------------------- grammar

    def nest(self) -> None:
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self.fault(
                f"nested more than {MOST_NESTED} levels deep",
                "name its parts in vars:, or make them blocks",
            )

    def expression(self) -> Expr:
        self.nest()
        first, arrow = self.chain()
        if self.accept("if"):
            mark = self.at - 1
            condition = self.operation(0)
            if not self.accept("else"):
                raise self.fault(
                    f"'else' is missing: {self.found()}",
                    "write (a if condition else b); Identity is a layer that does nothing",
                )
            otherwise, tail = self.otherwise()
            if arrow or tail:
                raise self.unclear_ternary(mark, first, condition, otherwise)
            first = Ternary(condition, first, otherwise)
        self.depth -= 1
        return first

    def otherwise(self) -> tuple[Expr, bool]:
        """What follows `else`, which may be another ternary; and whether it had an open arrow."""
        first, arrow = self.chain()
        if not self.accept("if"):
            return first, arrow
        self.nest()
        condition = self.operation(0)
        self.expect("else", "behind the condition")
        otherwise, tail = self.otherwise()
        self.depth -= 1
        return Ternary(condition, first, otherwise), arrow or tail

    def unclear_ternary(self, mark: int, then: Expr, condition: Expr, otherwise: Expr) -> Fault:
        def shown(start: int, end: int) -> str:
            return " ".join(self.raw[start - self.base : end - self.base].split())

        chosen, test = shown(then.start, then.end), shown(condition.start, condition.end)
        other = shown(otherwise.start, otherwise.end)
        last = then.parts[-1] if isinstance(then, Chain) else then
        head = shown(then.start, last.start)
        following = otherwise.parts[0] if isinstance(otherwise, Chain) else otherwise
        tail = shown(following.end, otherwise.end)
        part = f"({shown(last.start, last.end)} if {test} else "
        part += f"{shown(following.start, following.end)})"
        first = " ".join(filter(None, (head, part, tail)))
        if isinstance(then, Chain):
            chosen = f"({chosen})"
        if isinstance(otherwise, Chain):
            other = f"({other})"
        whole = f"{chosen} if {test} else {other}"
        return Fault(
            "a choice inside a chain must stand in parentheses: how far it reaches is unclear",
            self.starts[mark],
            self.ends[mark],
            f"write {first}, or {whole}",
        )

    def chain(self) -> tuple[Expr, bool]:
        """A chain, and whether it has an arrow outside parentheses."""
        first = self.operation(0)
        if not self.accept("->"):
            return first, False
        parts = [first, self.operation(0)]
        while self.accept("->"):
            parts.append(self.operation(0))
        return Chain(parts), True

    def operation(self, least: int) -> Expr:
        """Operators of a rank above `least`, and what they bind."""
        if self.texts[self.at] == "not" and self.kinds[self.at] == "name":
            start = self.starts[self.at]
            self.at += 1
            self.nest()
            operand = self.operation(_NOT - 1)
            self.depth -= 1
            left: Expr = Unary("not", operand, start, operand.end)
        else:
            left = self.unary()
        flat: Operation | None = None  # made here, so that a parenthesis stays one operand
        while True:
            operator = self.texts[self.at]
            rank = _RANKS.get(operator, 0)
            if rank <= least or self.kinds[self.at] == "word":
                return left
            index = self.starts[self.at]
            self.at += 1
            if operator == "not":
                if not self.accept("in"):
                    self.at -= 1
                    self.finish()
                operator = "not in"
            right = self.operation(rank)
            if flat is None or flat.rank != rank:
                left = flat = Operation(left, rank)
            flat.rest.append((operator, index, right))
            flat.end = right.end

    def unary(self) -> Expr:
        operator = self.texts[self.at]
        if operator in ("-", "+") and self.kinds[self.at] == "op":
            start = self.starts[self.at]
            self.at += 1
            self.nest()
            operand = self.unary()
            self.depth -= 1
            return Unary(operator, operand, start, operand.end)
        base = self.postfix()
        if self.accept("**"):
            index = self.starts[self.at - 1]
            self.nest()
            exponent = self.unary()
            self.depth -= 1
            power = Operation(base, 7)
            power.rest.append(("**", index, exponent))
            power.end = exponent.end
            return power
        return base

    def postfix(self) -> Expr:
        base = self.atom()
        nested = 0
        while self.kinds[self.at] == "op":
            text = self.texts[self.at]
            if text == "(":
                base = self.call(base)
            elif text == "[":
                self.at += 1
                index = self.expression()
                self.expect("]", "behind the index")
                base = Index(base, index, base.start, self.ends[self.at - 1])
            elif text == ".":
                self.at += 1
                if self.kinds[self.at] != "name":
                    raise self.fault(
                        f"a name is missing behind the dot: {self.found()}",
                        "write 0.5, not .5 or 5." if isinstance(base, Literal) else None,
                    )
                name = self.texts[self.at]
                name_start, end = self.starts[self.at], self.ends[self.at]
                base = Attribute(base, name, name_start, base.start, end)
                self.at += 1
            else:
                break
            nested += 1
            if nested > MOST_NESTED:
                raise self.fault(f"more than {MOST_NESTED} brackets in a row")
        return base

    def call(self, callee: Expr) -> Call:
        if isinstance(callee, Attribute) and isinstance(callee.base, Name):
            raise Fault(
                f"{callee.base.name}.{callee.name} cannot be called",
                callee.start,
                callee.end,
                f"layers have their plain names: write {callee.name}(…)",
            )
        if not isinstance(callee, Name):
            raise self.fault(
                "only a name can be called",
                "join steps with ->, and write * between numbers",
            )
        self.at += 1
        positional: list[Expr] = []
        named: list[Keyword] = []
        while not self.accept(")"):
            if self.kinds[self.at] == "name" and self.texts[self.at + 1] == "=":
                name = self.texts[self.at]
                start, end = self.starts[self.at], self.ends[self.at]
                self.at += 2
                named.append(Keyword(name, self.expression(), start, end))
            elif named:
                raise self.fault(
                    "an argument without a name behind one with a name",
                    "put it first, or name it",
                )
            else:
                positional.append(self.expression())
            if not self.accept(","):
                self.expect(")", f"behind the arguments of {callee.name}")
                break
        return Call(callee, positional, named, callee.start, self.ends[self.at - 1])

    def atom(self) -> Expr:
        at = self.at
        kind, text = self.kinds[at], self.texts[at]
        start, end = self.starts[at], self.ends[at]
        if kind == "name":
            if text in _CONSTANTS:
                self.at += 1
                return Literal(_CONSTANTS[text], start, end)
            if text in ("if", "else", "and", "or", "in"):
                raise self.fault(f"something is missing before {text!r}")
            if text == "not":
                raise self.fault("'not' must stand in parentheses here", "write (not …)")
            self.at += 1
            return Name(text, start, end)
        if kind == "number":
            return self.number()
        if kind == "word":
            self.at += 1
            return Literal(text[1:-1], start, end)
        if text == "(":
            self.at += 1
            if self.accept(")"):
                return ListExpr([], start, self.ends[self.at - 1])
            first = self.expression()
            if self.accept(")"):
                return _parenthesised(first, start, self.ends[self.at - 1])
            if self.texts[self.at] != ",":
                self.expect(")", "behind this")
            self.at += 1
            return self.items([first], ")", start)
        if text == "[":
            self.at += 1
            return self.items([], "]", start)
        if kind == "end":
            before = self.texts[at - 1] if at else ""
            raise self.fault(f"something is missing behind {before!r}" if before else "no value")
        help = "write 0.5, not .5" if text == "." else None
        raise self.fault(f"something is missing before {text!r}", help)

    def items(self, items: list[Expr], close: str, start: int) -> ListExpr:
        while not self.accept(close):
            items.append(self.expression())
            if not self.accept(","):
                self.expect(close, "behind the list")
                break
        return ListExpr(items, start, self.ends[self.at - 1])

    def number(self) -> Expr:
        at = self.at
        text, start, end = self.texts[at], self.starts[at], self.ends[at]
        self.at += 1
        if self.kinds[at + 1] == "name" and self.starts[at + 1] == end:
            unit = self.texts[at + 1]
            help = f"write {text} * {unit}"
            if unit in ("K", "M", "G", "T"):
                help = "units can only stand in expect: and budget:; write out the zeros"
            elif text == "0":
                help = "numbers are decimal: 64, 0.25, 1e-5"
            message = f"{text + unit!r} is neither a number nor a name"
            raise Fault(message, start, self.ends[at + 1], help)
        if self.texts[at + 1] == "." and self.starts[at + 1] == end:
            raise Fault("digits are missing behind the point", start, end + 1, f"write {text}")
        if text.isdigit() and len(text) <= MOST_DIGITS:
            if text[0] == "0" and len(text) > 1:
                raise self.leading_zero(text, start, end)
            return Literal(int(text), start, end)
        return self.long_number(text, start, end)

    def leading_zero(self, text: str, start: int, end: int) -> Fault:
        plain = text.lstrip("0") or "0"
        help = f"write {plain}"
        if plain != "0" and set(plain) <= set("01234567"):
            help += f", or {int(plain, 8)} if an octal number is meant"
        return Fault(f"a number with a zero before it: {text}", start, end, help)

    def long_number(self, text: str, start: int, end: int) -> Expr:
        """A number with a point, an exponent or underscores."""
        mantissa, _, exponent = text.lower().partition("e")
        whole, _, fraction = mantissa.partition(".")
        for part in (whole, fraction):
            if "__" in part or part.endswith("_"):
                raise Fault(f"an underscore between no digits: {text}", start, end)
        whole, fraction = whole.replace("_", ""), fraction.replace("_", "")
        power = int(exponent) if len(exponent) <= 5 and exponent else 0
        if len(exponent) > 5 or len(whole + fraction) + abs(power) > MOST_DIGITS:
            raise Fault(f"a number of more than {MOST_DIGITS} digits", start, end)
        if whole[0] == "0" and len(whole) > 1:
            raise self.leading_zero(whole, start, end)
        digits, power = int(whole + fraction), power - len(fraction)
        while power < 0 and digits % 10 == 0 and digits:
            digits, power = digits // 10, power + 1
        if power >= 0 or digits == 0:
            return Literal(digits * 10 ** max(power, 0), start, end)
        return Decimal(digits, power, start, end)


def _parenthesised(inner: Expr, start: int, end: int) -> Expr:
    """The tree in parentheses, with them in its stretch: operators outside do not join it."""
    inner.start, inner.end = start, end
    return inner


# --------------------------------------------------------------------------------- entrances


def parse(raw: str, base: int = 0) -> Expr:
    """The tree of an expression. Raises Fault, with indices from `base` on."""
    parser = _Parser(raw, base)
    tree = parser.expression()
    parser.finish()
    return tree


def parse_step(raw: str, base: int = 0) -> tuple[Binding | None, Expr]:
    """A step: the name that it gives, if any, and its expression. Raises Fault."""
    parser = _Parser(raw, base)
    binding = _binding(parser)
    tree = parser.expression()
    parser.finish()
    return binding, tree


def _binding(parser: _Parser) -> Binding | None:
    if parser.kinds[0] != "name" or parser.kinds[1] != "op":
        return None
    name, start, end = parser.texts[0], parser.starts[0], parser.ends[0]
    if parser.texts[1] == "=":
        if parser.texts[2] == ">":
            raise Fault(
                "'=>' has no meaning in an expression", parser.starts[1], parser.ends[2], "write ->"
            )
        parser.at = 2
        return Binding(name, None, start, end)
    if parser.texts[1] != "[":
        return None
    close = _closing_bracket(parser)
    if close is None or parser.texts[close + 1] != "=":
        return None
    parser.at = 2
    index = parser.expression()
    parser.expect("]", "behind the index")
    parser.expect("=", "behind the name")
    return Binding(name, index, start, end)


def _closing_bracket(parser: _Parser) -> int | None:
    depth = 0
    for at in range(1, len(parser.texts) - 1):
        if parser.kinds[at] == "op":
            if parser.texts[at] == "[":
                depth += 1
            elif parser.texts[at] == "]":
                depth -= 1
                if depth == 0:
                    return at
    return None


def parse_binding(raw: str, base: int = 0) -> Binding:
    """What stands behind `name:`: NAME or NAME[expr]. Raises Fault."""
    parser = _Parser(raw, base)
    if parser.kinds[0] != "name":
        raise parser.fault(f"a name is wanted here: {parser.found()}")
    index = None
    name, start, end = parser.texts[0], parser.starts[0], parser.ends[0]
    parser.at = 1
    if parser.accept("["):
        index = parser.expression()
        parser.expect("]", "behind the index")
    parser.finish()
    return Binding(name, index, start, end)


def parse_signature(raw: str, base: int = 0) -> Signature:
    """The head of a block or function. Raises Fault."""
    parser = _Parser(raw, base)
    if parser.kinds[0] != "name":
        raise parser.fault(
            f"a name is wanted here: {parser.found()}", "write Name, or Name(a, b=1)"
        )
    name, start, end = parser.texts[0], parser.starts[0], parser.ends[0]
    parser.at = 1
    parameters: list[Parameter] | None = None
    if parser.accept("("):
        parameters = []
        while not parser.accept(")"):
            parameters.append(_parameter(parser, parameters))
            if not parser.accept(","):
                parser.expect(")", "behind the parameters")
                break
    parser.finish()
    return Signature(name, parameters, start, end)


def _parameter(parser: _Parser, before: list[Parameter]) -> Parameter:
    if parser.kinds[parser.at] != "name":
        raise parser.fault(
            f"a parameter's name is wanted here: {parser.found()}",
            "write Name(a, b=1): a must be given, b is 1 where it is not",
        )
    at = parser.at
    name, start, end = parser.texts[at], parser.starts[at], parser.ends[at]
    parser.at += 1
    default = parser.expression() if parser.accept("=") else None
    if default is None and before and before[-1].default is not None:
        raise Fault(
            f"parameter {name!r} has no default, but stands behind one that has",
            start,
            end,
            "give it one, or put it first",
        )
    return Parameter(name, default, start, end)
