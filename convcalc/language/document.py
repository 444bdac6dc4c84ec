"""A design that was read, and what can be had of it: its variants, its claims, its graph.

document = load_document("resnet.yaml")
document.variants                    # ("resnet18", "resnet34", …)
graph = document.build("resnet18")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from convcalc.errors import DesignError, LayerError, Problem
from convcalc.integers import Formula, symbol
from convcalc.language.checks import (
    check_design,
    depth,
    find_cycle,
    free_sizes,
    in_order,
    shown_cycle,
    uses,
)
from convcalc.language.evaluation import Evaluator, Scope
from convcalc.language.expressions import Expr, ListExpr, Name
from convcalc.language.faults import Absorbed, Fault, Problems, Text, did_you_mean
from convcalc.language.figures import Claim, Expected
from convcalc.language.interpreter import Interpreter, claimed_shape
from convcalc.language.parsing import parse_design, parse_override
from convcalc.language.reader import read, read_file
from convcalc.language.steps import Definition, Design, Variant
from convcalc.language.values import (
    BUILTINS,
    POISON,
    is_number,
    is_open,
    kind,
    make_list,
    show,
)
from convcalc.ops.base import REGISTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.graph import Entry, Graph
    from convcalc.language.steps import Word

    #: A value for a var: a text is an expression of the language ("1.4", "Basic", "[3, 4, 6, 3]").
    #: A formula leaves it open: see `Document.opened`.
    Override = str | int | float | bool | None | Formula | Sequence[Any]
    #: The shape of one sample without the batch; a free size by its name ("H").
    InputShape = Sequence[Entry]


class Document:
    """A design, free of faults as far as can be told without unrolling it.

    name, cite, notes: its own words. file: the path it was read from, or "<text>".
    variants: the names of its variants, in order. default: the one meant where none is named.
    vars: name → default value, as it stands in the file. free: the sizes that `input` leaves open.
    Both can be set by `overrides`.
    """

    def __init__(self, design: Design, text: Text) -> None:
        self._design = design
        self._text = text
        self.name = design.name
        self.cite = design.cite
        self.notes = design.notes
        self.file = text.name
        self.variants = tuple(design.variants)
        self.default = design.default
        self.vars = {
            name: " ".join(text.text[d.expr.start : d.expr.end].split())
            for name, d in design.vars.items()
            if d.parameters is None
        }
        self.free = tuple(free_sizes(design))

    def __repr__(self) -> str:
        return f"Document({self.name!r}, {self.file!r})"

    def expect(self, variant: str | None = None) -> list[Expected]:
        """What must come out. What stands at the top holds for every variant that says nothing
        else. Raises DesignError for an unknown variant."""
        chosen = self._variant(variant)
        return self._claims(self._design.expect, chosen.expect if chosen else [], variant)

    def budget(self, variant: str | None = None) -> list[Expected]:
        """Upper bounds, as `expect`. Raises DesignError for an unknown variant."""
        chosen = self._variant(variant)
        return self._claims(self._design.budget, chosen.budget if chosen else [], variant)

    def build(
        self,
        variant: str | None = None,
        overrides: Mapping[str, Override] | None = None,
        input: InputShape | Mapping[str, InputShape] | None = None,
    ) -> Graph:
        """The network of a variant (the default one where none is named) as a graph.

        overrides: values for vars and free sizes, stronger than the variant's.
        input: another shape for the input, or for some of several inputs by name.

        Raises DesignError with every independent fault found.
        """
        problems = Problems()
        graph = self._build(self._variant(variant), overrides or {}, input, problems)
        if graph is None:
            raise problems.error()
        graph.open_vars = tuple(n for n, v in (overrides or {}).items() if isinstance(v, Formula))
        return graph

    def opened(
        self,
        names: Iterable[str],
        variant: str | None = None,
        overrides: Mapping[str, Override] | None = None,
    ) -> dict[str, Override]:
        """`overrides`, and vars that they leave open: formulas that stand for whole numbers from 1.

        A var can be open whose value is such a number, and which only counts something. Raises
        DesignError for one whose value is something else; where it decides the structure, `build`
        does, at the place in the design.
        """
        given = dict(overrides or {})
        problems = Problems()
        values = self._globals(self._variant(variant), given, problems)
        problems.raise_if_any()
        result = given
        for name in dict.fromkeys(names):
            message, help = None, None
            if name not in self.vars:
                message = f"the design has no var {name!r}"
                help = did_you_mean(name, self.vars) or _have(self.vars)
            elif name in given:
                message = f"{name} is set to {show(values[name])}, and cannot be left open as well"
            elif values[name].__class__ is not int or values[name] < 1:
                message = f"{name} cannot be left open: it is {kind(values[name])}"
                help = "only what counts something can: whole numbers of at least 1"
            else:
                try:
                    result[name] = symbol(name)
                except ValueError:
                    message = f"{name} cannot be left open: in a formula it is a reserved word"
                    help = "give the var another name"
            if message:
                problems.add(Problem(message, help=help))
        problems.raise_if_any()
        return result

    # ---------------------------------------------------------------- choices

    def _variant(self, name: str | None) -> Variant | None:
        if name is None:
            name = self.default
        if name is None:
            return None
        variant = self._design.variants.get(name)
        if variant is None:
            help = did_you_mean(name, self.variants)
            if help is None and self.variants:
                help = f"its variants are {', '.join(self.variants[:20])}"
            where = self.name or self.file
            problem = Problem(f"{where} has no variant {name!r}", help=help)
            raise DesignError([problem])
        return variant

    def _claims(self, common: list[Claim], own: list[Claim], variant: str | None) -> list[Expected]:
        by_key = {(claim.key, claim.output): claim for claim in common}
        by_key.update({(claim.key, claim.output): claim for claim in own})
        shapes = any(claim.shape is not None for claim in by_key.values())
        problems = Problems()
        evaluator = Evaluator({})
        if shapes:
            globals = self._globals(self._variant(variant), {}, problems)
            evaluator = Evaluator(globals)
        expected = []
        for claim in by_key.values():
            place = self._text.place(claim.value_start, claim.value_end)
            if claim.amount is not None:
                expected.append(
                    Expected(
                        claim.key,
                        claim.amount,
                        place,
                        batch=claim.batch,
                        optimizer=claim.optimizer,
                    )
                )
                continue
            try:
                shape = claimed_shape(claim, evaluator, evaluator.globals)
            except Fault as fault:
                problems.fault(self._text, fault)
            except Absorbed:
                pass
            else:
                expected.append(Expected(claim.key, shape, place, claim.output))
        problems.raise_if_any()
        return expected

    def _build(
        self,
        variant: Variant | None,
        overrides: Mapping[str, Override],
        input: InputShape | Mapping[str, InputShape] | None,
        problems: Problems,
    ) -> Graph | None:
        globals = self._globals(variant, overrides, problems)
        evaluator = Evaluator(globals, self._design.results)
        shapes = self._inputs(evaluator, problems)
        if input is not None:
            self._replace_inputs(shapes, input, problems)
        graph = Interpreter(self._design, self._text, evaluator, problems).run(shapes)
        words = self._design.freeze
        if variant is not None and variant.freeze is not None:
            words = variant.freeze
        if graph is not None and words:
            self._freeze(graph, words, problems)
        return None if problems else graph

    def _freeze(self, graph: Graph, words: list[Word], problems: Problems) -> None:
        from convcalc.language.freezing import freeze

        for word, start, end in words:
            try:
                freeze(graph, word)
            except LayerError as error:
                problems.at(self._text, start, end, error.message, error.help)

    # ---------------------------------------------------------------- vars

    def _globals(
        self,
        variant: Variant | None,
        overrides: Mapping[str, Override],
        problems: Problems,
    ) -> dict[str, Any]:
        """Every global name with its value: functions, layers, blocks, vars."""
        design = self._design
        definitions = dict(design.vars)
        if variant is not None:
            definitions.update(variant.definitions)
        given: dict[str, Any] = {}
        sources: dict[str, Text] = {}
        for name, value in overrides.items():
            known = definitions.get(name)
            if known is None and name not in self.free:
                names = [*self.vars, *self.free]
                help = did_you_mean(name, names) or _have(names)
                problems.add(Problem(f"the design has no var {name!r}", help=help))
            elif known is not None and known.parameters is not None:
                problems.add(Problem(f"{name!r} is a function and cannot be set"))
            elif isinstance(value, str):
                source = Text("--set", f"{name}={value}")
                override = parse_override(name, value, source, len(name) + 1, problems)
                definitions[name] = override
                sources[name] = source
            else:
                definitions.pop(name, None)
                given[name] = _from_python(name, value, problems)
        globals: dict[str, Any] = {**BUILTINS, **REGISTRY, **design.blocks}
        values: dict[str, Any] = dict.fromkeys(definitions, POISON)
        values.update(given)
        globals.update(values)
        if sources:  # those of the file were looked at when it was read
            _check_cycles(definitions, sources, problems)
        evaluator = Evaluator(globals)
        for name in in_order(definitions):
            definition = definitions[name]
            if definition.parameters is not None:
                definition.depth = depth(definition.expr)
                globals[name] = definition
                continue
            globals[name] = self._var(definition, evaluator, sources.get(name), problems)
        return globals

    def _var(
        self, definition: Definition, evaluator: Evaluator, source: Text | None, problems: Problems
    ) -> Any:
        try:
            return evaluator.evaluate(definition.expr, evaluator.globals)
        except Fault as fault:
            problems.fault(source or self._text, fault)
        except Absorbed:
            pass
        return POISON

    # ---------------------------------------------------------------- inputs

    def _inputs(self, evaluator: Evaluator, problems: Problems) -> dict[str, tuple[Entry, ...]]:
        shapes = {}
        for entry in self._design.inputs:
            if not isinstance(entry.shape, ListExpr):
                continue
            sizes = []
            for item in entry.shape.items:
                try:
                    sizes.append(self._size(item, evaluator.globals, evaluator))
                except Fault as fault:
                    problems.fault(self._text, fault)
                except Absorbed:
                    pass
            if len(sizes) == len(entry.shape.items) and sizes:
                shapes[entry.name] = tuple(sizes)
        return shapes

    def _size(self, item: Expr, scope: Scope, evaluator: Evaluator) -> Entry:
        if isinstance(item, Name) and item.name in self.free and item.name not in scope.names:
            return item.name
        size = evaluator.solid(item, scope)
        if size.__class__ is not int or size < 1:
            help, told = None, show(size)
            if is_open(size):
                told = kind(size)
                help = "the sizes of the input are left open by name: input=(3, 'H', 'W')"
            elif is_number(size) and size.__class__ is not int:
                help = "round it: int(…), or // instead of /"
            raise Fault(
                f"a size is a whole number of at least 1, not {told}",
                item.start,
                item.end,
                help,
            )
        return int(size)

    def _replace_inputs(
        self,
        shapes: dict[str, tuple[Entry, ...]],
        given: InputShape | Mapping[str, InputShape],
        problems: Problems,
    ) -> None:
        names = [entry.name for entry in self._design.inputs]
        if not isinstance(given, Mapping):
            if len(names) != 1:
                message = f"the design has {len(names)} inputs: {', '.join(names)}"
                problems.add(Problem(message, help="give their shapes by name"))
                return
            given = {names[0]: given}
        for name, shape in given.items():
            if name not in names:
                help = did_you_mean(name, names) or f"its inputs are {', '.join(names)}"
                problems.add(Problem(f"the design has no input {name!r}", help=help))
            elif (
                isinstance(shape, str)
                or not isinstance(shape, Sequence)
                or not 1 <= len(shape) <= 4
                or not all(map(_is_size, shape))
            ):
                help = "whole numbers of at least 1, channels first, without the batch"
                problems.add(Problem(f"{shape!r} is no shape of an input", help=help))
            else:
                shapes[name] = tuple(shape)


def _have(names: Iterable[str]) -> str:
    return f"its vars are {', '.join([*names][:20]) or 'none'}"


def _check_cycles(
    definitions: dict[str, Definition], sources: dict[str, Text], problems: Problems
) -> None:
    """A var that is set to something that uses it."""
    for cycle in find_cycle({name: uses(d) for name, d in definitions.items()}):
        name = next((n for n in cycle if n in sources), None)
        if name is not None:
            expr = definitions[name].expr
            message = f"a var is defined by itself: {shown_cycle(cycle)}"
            problems.at(sources[name], expr.start, expr.end, message, "break the circle")


def _is_size(size: object) -> bool:
    if isinstance(size, str):
        return size.isidentifier() and size.isascii() and size.isupper()
    return isinstance(size, int) and not isinstance(size, bool) and 1 <= size < 1 << 62


def _from_python(name: str, value: Any, problems: Problems) -> Any:
    """A value that a program gave for a var."""
    if value is None or isinstance(value, (bool, Formula)):
        return value
    if isinstance(value, int) and value.bit_length() < 1024:
        return int(value)
    if isinstance(value, float) and abs(value) < 1e300:
        if value.is_integer():
            return int(value)
        from fractions import Fraction

        return Fraction(repr(value))  # the decimal that was written, as in a file
    if isinstance(value, (list, tuple)) and len(value) <= 10_000:
        return make_list(_from_python(name, entry, problems) for entry in value)
    problems.add(
        Problem(
            f"{name} cannot be {value!r}"[:200],
            help="give a number, true or false, a list, or an expression as text",
        )
    )
    return POISON


# --------------------------------------------------------------------------------- entrances


def load_document(source: str | os.PathLike[str]) -> Document:
    """Read a design from a file; a `str` with a line break in it is the design's text itself.

    Raises DesignError with every fault that can be told without unrolling the network, and, where
    there are some, also with those that show as values flow.
    """
    if isinstance(source, str) and "\n" in source:
        return parse_document(source)
    return parse_text(read_file(source))


def parse_document(text: str, name: str = "<text>") -> Document:
    """Read a design from its text. Raises DesignError as `load_document` does."""
    return parse_text(Text(name, text.removeprefix("\ufeff")))


def parse_text(text: Text) -> Document:
    """Read a design from a source. Raises DesignError as `load_document` does."""
    problems = Problems()
    root = read(text, problems)
    if root is None:
        raise problems.error()
    design = parse_design(root, text, problems)
    check_design(design, text, problems)
    document = Document(design, text)
    if problems:
        # Unrolling shows what is wrong besides; what was reported absorbs its consequences.
        document._build(document._variant(None), {}, None, problems)
        raise problems.error()
    return document
