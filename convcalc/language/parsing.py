"""YAML nodes → a `Design`: every key known, every scalar parsed once. Nothing is looked up yet.

All faults of a file are collected; what a fault leaves without meaning becomes a Broken node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from convcalc.language import expressions
from convcalc.language.expressions import (
    RESERVED,
    Binding,
    BrokenExpr,
    Call,
    Expr,
    Keyword,
    ListExpr,
    Name,
    Parameter,
    Signature,
)
from convcalc.language.faults import Fault, Help, Problems, Text, did_you_mean
from convcalc.language.figures import (
    FIGURES,
    MEMORY,
    OPTIMIZERS,
    SETTINGS,
    STEP_FIGURES,
    Claim,
    parse_amount,
)
from convcalc.language.reader import Broken, Mapping, Node, Scalar, Sequence
from convcalc.language.steps import (
    Block,
    Body,
    BrokenStep,
    Definition,
    Design,
    DoStep,
    Entry,
    ExprStep,
    ForStep,
    IfStep,
    JoinStep,
    ResidualStep,
    Step,
    Variant,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from convcalc.language.steps import Join, Word

VERSION = "1"
# The name that a signature or a step defines.
_DEFINED = r"\s*([A-Za-z_]\w*)"
_BINDING = r"\s*[A-Za-z_]\w*\s*(\[[^\]]*\])?\s*=[^=]"

#: Top-level keys, in the order in which a file has them.
TOP_LEVEL = (
    "convcalc",
    "name",
    "cite",
    "notes",
    "input",
    "inputs",
    "vars",
    "blocks",
    "layers",
    "aux",
    "outputs",
    "freeze",
    "default",
    "variants",
    "expect",
    "budget",
)
#: Verb → the keys that may stand beside it, besides `name` and `expect`.
VERBS: dict[str, tuple[str, ...]] = {
    "add": ("split",),
    "mul": ("split",),
    "concat": ("split", "dim"),
    "residual": ("project", "shortcut"),
    "for": ("in", "do"),
    "if": ("then", "else"),
    "do": (),
}
_BESIDE_ALL = ("name", "expect")
_COMPANIONS = {key: verb for verb, keys in VERBS.items() for key in keys if key not in VERBS}


def parse_design(root: Node, text: Text, problems: Problems) -> Design:
    """What a file says. Never raises; faults are added to `problems`."""
    return _Reader(text, problems).design(root)


def parse_override(name: str, raw: str, text: Text, base: int, problems: Problems) -> Definition:
    """`--set name=value`: the value, as an expression."""
    try:
        expr = expressions.parse(raw, base)
    except Fault as fault:
        problems.fault(text, fault)
        expr = BrokenExpr(base, base + len(raw))
    return Definition(name, None, expr, 0, len(name))


class _Reader:
    def __init__(self, text: Text, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.lost_names: set[str] = set()
        self.lost = False

    # ---------------------------------------------------------------- faults

    def report(self, node: Node | Name | Binding, message: str, help: Help = None) -> None:
        self.problems.at(self.text, node.start, node.end, message, help)

    def unknown_key(
        self, key: Scalar, what: str, allowed: Iterable[str], help: str | None = None
    ) -> None:
        allowed = list(allowed)

        def near() -> str:
            found = help or did_you_mean(key.text, allowed)
            return found or f"it may be {', '.join(allowed)}"

        self.report(key, f"{key.text!r} is no key of {what}", near)

    # ---------------------------------------------------------------- shapes of nodes

    def entries(self, node: Node, what: str, example: str) -> list[tuple[Scalar, Node]]:
        """The pairs of a mapping; of none where it is no mapping, which is reported."""
        if isinstance(node, Mapping):
            return node.entries
        self.lost = True
        if not isinstance(node, Broken):
            self.report(node, f"{what} must be a mapping, not {_kind(node)}", f"write {example}")
        return []

    def words(self, node: Node, what: str) -> str:
        """The text of a scalar, never parsed."""
        if isinstance(node, Scalar):
            return node.text
        if not isinstance(node, Broken):
            self.report(node, f"{what} must be text, not {_kind(node)}", "put it in quotes")
        return ""

    def value(self, node: Node, what: str) -> Expr:
        """A value: a scalar is an expression, a list a list of values."""
        if isinstance(node, Scalar):
            if node.empty:
                return self.broken(node, f"{what} has no value")
            try:
                return expressions.parse(node.raw, node.base)
            except Fault as fault:
                self.problems.fault(self.text, fault)
                return BrokenExpr(node.start, node.end)
        if isinstance(node, Sequence):
            return ListExpr([self.value(n, what) for n in node.items], node.start, node.end)
        if isinstance(node, Broken):
            return BrokenExpr(node.start, node.end)
        help = "write a number, a list, a word, or a layer: LeakyReLU(0.1)"
        return self.broken(node, f"{what} must be a value, not a mapping", help)

    def broken(self, node: Node, message: str, help: str | None = None) -> BrokenExpr:
        self.report(node, message, help)
        return BrokenExpr(node.start, node.end)

    def signature(self, key: Scalar) -> Signature | None:
        try:
            return expressions.parse_signature(key.raw, key.base)
        except Fault as fault:
            self.problems.fault(self.text, fault)
            self.lose(key.raw)
            return None

    def lose(self, raw: str) -> None:
        """What could not be read would have defined the name at its beginning."""
        name = re.match(_DEFINED, raw)
        if name:
            self.lost_names.add(name[1])

    def fresh(self, name: str, start: int, end: int, taken: dict[str, int], what: str) -> bool:
        """Whether a name is new here; a second definition is an error, not a shadow."""
        if name in taken:
            line = self.text.place(taken[name]).line
            self.problems.at(
                self.text,
                start,
                end,
                f"{what} {name!r} is defined twice, first on line {line}",
                "rename one of them",
            )
            return False
        taken[name] = start
        return True

    # ---------------------------------------------------------------- the whole file

    def design(self, root: Node) -> Design:
        design = Design()
        if isinstance(root, Broken):
            return design
        if not isinstance(root, Mapping):
            self.report(
                root,
                f"a design is a mapping of keys, not {_kind(root)}",
                "begin with convcalc: 1, then input: and layers:",
            )
            return design
        sections: dict[str, tuple[Scalar, Node]] = {}
        for key, node in root.entries:
            if key.text in TOP_LEVEL:
                sections[key.text] = (key, node)
            else:
                help = None
                if key.text in VERBS or key.text[:1].isupper():
                    help = "steps stand under layers:, blocks under blocks:"
                self.unknown_key(key, "a design", TOP_LEVEL, help)
        self.version(root, sections)
        for name in ("name", "cite", "notes", "default"):
            if name in sections:
                setattr(design, name, self.words(sections[name][1], name))
        self.inputs(root, sections, design)
        if "vars" in sections:
            design.vars = self.definitions(sections["vars"][1])
        if "blocks" in sections:
            design.blocks = self.blocks(sections["blocks"][1])
        if "layers" in sections:
            design.layers = self.body(sections["layers"][1], "layers")
        elif root.entries and not self.mistyped(root, "layers"):
            self.report(root.entries[0][0], "the design has no layers", "write layers: and steps")
        if "aux" in sections:
            design.aux = self.named_bodies(*sections["aux"], "aux1: i4a -> Aux")
        if "outputs" in sections:
            design.outputs = self.named_bodies(*sections["outputs"], "boxes: head -> Conv2d(4, 1)")
        self.variants(sections, design)
        if "freeze" in sections:
            design.freeze = self.freeze(sections["freeze"][1])
        if "expect" in sections:
            design.expect = self.claims(sections["expect"][1], "expect", (*FIGURES, "output"))
        if "budget" in sections:
            design.budget = self.claims(sections["budget"][1], "budget", FIGURES)
        design.lost_names = self.lost_names
        design.lost = self.lost or any(self.mistyped(root, key) for key in ("vars", "blocks"))
        return design

    def version(self, root: Mapping, sections: dict[str, tuple[Scalar, Node]]) -> None:
        if "convcalc" not in sections:
            if root.entries and not self.mistyped(root, "convcalc"):
                self.report(
                    root.entries[0][0],
                    "the version of the language is missing",
                    f"begin the file with convcalc: {VERSION}",
                )
            return
        node = sections["convcalc"][1]
        if isinstance(node, Scalar) and node.text != VERSION:
            self.report(
                node,
                f"version {node.text!r} of the language is not known",
                f"write convcalc: {VERSION}; a newer version needs a newer convcalc",
            )
        elif not isinstance(node, Scalar):
            self.words(node, "convcalc")

    def inputs(
        self, root: Mapping, sections: dict[str, tuple[Scalar, Node]], design: Design
    ) -> None:
        if "input" in sections and "inputs" in sections:
            self.report(sections["inputs"][0], "both input: and inputs:", "keep one of them")
        if "input" in sections:
            key, node = sections["input"]
            design.inputs = [Entry("input", key.start, key.end, shape=self.shape(node))]
        elif "inputs" in sections:
            design.several_inputs = True
            example = "inputs: {left: [3, H, W], right: [3, H, W]}"
            for key, node in self.entries(sections["inputs"][1], "inputs", example):
                if self.plain_name(key, "an input"):
                    entry = Entry(key.text, key.start, key.end, shape=self.shape(node))
                    design.inputs.append(entry)
            if not design.inputs:
                self.report(sections["inputs"][0], "inputs: names no input", f"write {example}")
        elif root.entries and not self.mistyped(root, "input"):
            help = "write input: [3, 224, 224]"
            self.report(root.entries[0][0], "the design has no input", help)

    def mistyped(self, root: Mapping, wanted: str) -> bool:
        """Whether an unknown key was most likely meant as this one: it was reported already."""
        meant = f"did you mean {wanted!r}?"
        unknown = [key.text for key, _ in root.entries if key.text not in TOP_LEVEL][:20]
        return any(did_you_mean(key, TOP_LEVEL) == meant for key in unknown)

    def shape(self, node: Node) -> Expr:
        shape = self.value(node, "the input's shape")
        if isinstance(shape, ListExpr):
            return shape
        if not isinstance(shape, BrokenExpr):
            return self.broken(
                node,
                "the input's shape must be a list",
                "channels first, without the batch: [3, 224, 224], or [3, H, W]",
            )
        return shape

    def plain_name(self, key: Scalar, what: str) -> bool:
        """Whether a key can name something that is written in lower case."""
        name = key.text
        if not name.isidentifier() or not name.isascii():
            self.report(key, f"{name!r} cannot be the name of {what}", "use a-z, 0-9 and _")
        elif name in RESERVED and not (what == "an input" and name == "input"):
            self.report(key, f"{name!r} has a meaning of its own", "choose another name")
        elif name[0].isupper():
            self.report(
                key,
                f"{what} is written in lower case: {name!r} would be a layer or block",
                f"write {name.lower()}",
            )
        else:
            return True
        return False

    # ---------------------------------------------------------------- vars, blocks, variants

    def definitions(self, node: Node) -> dict[str, Definition]:
        found: dict[str, Definition] = {}
        taken: dict[str, int] = {}
        for key, value in self.entries(node, "vars", "vars: {width: 1.4, classes: 10}"):
            definition = self.definition(key, value)
            if definition and self.fresh(
                definition.name, definition.start, definition.end, taken, "var"
            ):
                found[definition.name] = definition
        return found

    def definition(self, key: Scalar, value: Node) -> Definition | None:
        signature = self.signature(key)
        expr = self.value(value, key.text)
        if signature is None:
            return None
        name = signature.name
        if name in RESERVED:
            self.report(key, f"{name!r} has a meaning of its own", "choose another name")
            return None
        if name[0].isupper() and not name.isupper():
            self.report(
                key,
                f"a var is written in lower case: {name!r} would be a layer or block",
                f"write {name[0].lower() + name[1:]}, or put it under blocks:",
            )
            self.lost_names.add(name)
            return None
        if signature.parameters is not None:
            self.parameters(signature.parameters)
        return Definition(name, signature.parameters, expr, signature.start, signature.end)

    def parameters(self, parameters: list[Parameter]) -> None:
        taken: dict[str, int] = {}
        for parameter in parameters:
            self.fresh(parameter.name, parameter.start, parameter.end, taken, "parameter")
            self.check_name(parameter, parameter.name, "a parameter")

    def check_name(self, place: Parameter | Binding | Name, name: str, what: str) -> None:
        if name in RESERVED:
            message = f"{name!r} has a meaning of its own"
            self.problems.at(self.text, place.start, place.end, message, "choose another name")
        elif name[0].isupper():
            self.problems.at(
                self.text,
                place.start,
                place.end,
                f"{what} is written in lower case: {name!r} would be a layer or block",
                f"write {name.lower()}",
            )

    def blocks(self, node: Node) -> dict[str, Block]:
        found: dict[str, Block] = {}
        taken: dict[str, int] = {}
        example = "blocks: and below it Conv(c): Conv2d(c, 3) -> ReLU"
        for key, value in self.entries(node, "blocks", example):
            signature = self.signature(key)
            body = self.body(value, key.text)
            if signature is None:
                continue
            name = signature.name
            if not name[0].isupper():
                self.report(
                    key,
                    f"a block is written in upper case: {name!r} would be a number or a result",
                    f"write {name[0].upper() + name[1:]}",
                )
                self.lost_names.add(name)
                continue
            if not self.fresh(name, signature.start, signature.end, taken, "block"):
                continue
            parameters = signature.parameters or []
            self.parameters(parameters)
            found[name] = Block(name, parameters, body, signature.start, signature.end)
        return found

    def variants(self, sections: dict[str, tuple[Scalar, Node]], design: Design) -> None:
        if "variants" in sections:
            example = "variants: {small: {width: 0.5}}"
            for key, node in self.entries(sections["variants"][1], "variants", example):
                design.variants[key.text] = self.variant(key, node, design)
        if "default" in sections and design.default not in design.variants:
            help = did_you_mean(design.default or "", design.variants)
            self.report(
                sections["default"][1],
                f"there is no variant {design.default!r}",
                help or "default: names one of variants:",
            )
            design.default = None

    def variant(self, key: Scalar, node: Node, design: Design) -> Variant:
        variant = Variant(key.text, key.start, key.end)
        if isinstance(node, Scalar) and node.empty:
            return variant
        for name, value in self.entries(node, "a variant", f"{key.text}: {{width: 0.5}}"):
            if name.text == "freeze":
                variant.freeze = self.freeze(value)
            elif name.text == "expect":
                variant.expect = self.claims(value, "expect", (*FIGURES, "output"))
            elif name.text == "budget":
                variant.budget = self.claims(value, "budget", FIGURES)
            else:
                definition = self.definition(name, value)
                if definition is None:
                    continue
                if definition.name not in design.vars:
                    self.unknown_var(name, definition.name, design)
                elif (definition.parameters is None) != (
                    design.vars[definition.name].parameters is None
                ):
                    self.report(
                        name,
                        f"{definition.name!r} is a number in one place and a function in the other",
                        "write it as it stands in vars:",
                    )
                else:
                    variant.definitions[definition.name] = definition
        return variant

    def unknown_var(self, key: Scalar, name: str, design: Design) -> None:
        def help() -> str:
            known = ["freeze", "expect", "budget", *design.vars]
            return did_you_mean(name, known) or "define it under vars:"

        message = f"a variant sets vars, and there is no var {name!r}"
        self.report(key, message, help)

    def named_bodies(self, key: Scalar, node: Node, example: str) -> list[Entry]:
        found = []
        for name, value in self.entries(node, key.text, f"{key.text}: {{{example}}}"):
            if self.plain_name(name, "an output"):
                body = self.body(value, name.text)
                found.append(Entry(name.text, name.start, name.end, body=body))
        return found

    # ---------------------------------------------------------------- freeze, expect, budget

    def freeze(self, node: Node) -> list[Word]:
        """Words for layers, with commas between them, or a list of such."""
        if isinstance(node, Sequence):
            return [word for item in node.items for word in self.freeze(item)]
        if isinstance(node, Broken):
            return []
        if not isinstance(node, Scalar) or node.empty:
            kind = "empty" if isinstance(node, Scalar) else _kind(node)
            help = "write freeze: layers.0-5, or the paths of layers and blocks"
            self.report(node, f"freeze must name layers, and is {kind}", help)
            return []
        from convcalc.language.freezing import split

        return [(word, node.base + at, node.base + at + len(word)) for word, at in split(node.raw)]

    def claims(self, node: Node, what: str, allowed: Iterable[str]) -> list[Claim]:
        claims: list[Claim] = []
        allowed = list(allowed)
        settings = SETTINGS if MEMORY[0] in allowed else ()
        example = f"{what}: {{params: 5M, macs: 600M}}"
        batch, optimizer = 1, OPTIMIZERS[0]
        for key, value in self.entries(node, what, example):
            if key.text in settings:
                if key.text == "batch":
                    batch = self.batch(value)
                else:
                    optimizer = self.optimizer(value)
            elif key.text not in allowed:
                self.unknown_key(key, what, [*allowed, *settings])
            elif key.text != "output":
                claims += self.amount(key, value)
            elif isinstance(value, Mapping):
                for name, shape in value.entries:
                    claims += self.output_claim(key, shape, name.text)
            else:
                claims += self.output_claim(key, value, None)
        for claim in claims:
            if claim.key in MEMORY:
                claim.batch, claim.optimizer = batch, optimizer
        return claims

    def batch(self, node: Node) -> int:
        """The number of samples of which memory is claimed."""
        text = self.words(node, "batch").replace("_", "")
        if text.isdecimal() and text.isascii() and len(text) < 20 and int(text) > 0:
            return int(text)
        if isinstance(node, Scalar):
            self.report(node, f"batch is a whole number of at least 1, not {node.text!r}")
        return 1

    def optimizer(self, node: Node) -> str:
        """The optimizer whose step is part of a training peak."""
        text = self.words(node, "optimizer")
        if text not in OPTIMIZERS and isinstance(node, Scalar):
            help = did_you_mean(text, OPTIMIZERS) or f"it may be {', '.join(OPTIMIZERS)}"
            self.report(node, f"{text!r} is no optimizer", help)
            return OPTIMIZERS[0]
        return text

    def amount(self, key: Scalar, node: Node) -> list[Claim]:
        if not isinstance(node, Scalar):
            if not isinstance(node, Broken):
                self.report(node, f"{key.text} must be a number, not {_kind(node)}")
            return []
        try:
            amount = parse_amount(key.text, node.text, node.start, max(node.end, node.start + 1))
        except Fault as fault:
            self.problems.fault(self.text, fault)
            return []
        return [Claim(key.text, amount, None, (key.start, key.end), (node.start, node.end))]

    def output_claim(self, key: Scalar, node: Node, name: str | None) -> list[Claim]:
        shape = self.value(node, "output")
        if isinstance(shape, BrokenExpr):
            return []
        if not isinstance(shape, ListExpr):
            help = "write [1000], or [21, 512, 512]: without the batch"
            self.report(node, "output must be a list of sizes", help)
            return []
        return [Claim(key.text, None, shape, (key.start, key.end), (node.start, node.end), name)]

    # ---------------------------------------------------------------- steps

    def body(self, node: Node, what: str) -> Body:
        """A step, or a list of them."""
        if isinstance(node, Scalar) and node.empty:
            self.report(node, f"{what} is empty", "write a step, or Identity for none")
            return Body([BrokenStep(node.start, node.end)], node.start, node.end)
        if not isinstance(node, Sequence):
            return Body([self.step(node)], node.start, node.end)
        if not node.items:
            self.report(node, f"{what} is empty", "write a step, or Identity for none")
        return Body([self.step(item) for item in node.items], node.start, node.end)

    def step(self, node: Node) -> Step:
        if isinstance(node, Scalar):
            return self.line(node)
        if isinstance(node, Mapping):
            return self.mapping(node)
        if isinstance(node, Sequence):
            return DoStep(self.body(node, "this list"), node.start, node.end)
        return BrokenStep(node.start, node.end)

    def line(self, node: Scalar) -> Step:
        """A step that is an expression."""
        if node.empty:
            self.report(node, "this step is empty", "write a layer, or remove the dash")
            return BrokenStep(node.start, node.end)
        try:
            binding, expr = expressions.parse_step(node.raw, node.base)
        except Fault as fault:
            self.problems.fault(self.text, fault)
            if re.match(_BINDING, node.raw):
                self.lose(node.raw)
            return BrokenStep(node.start, node.end)
        step = ExprStep(expr, node.start, node.end)
        if binding is not None:
            self.check_name(binding, binding.name, "the name of a result")
            step.binding = binding
        return step

    def mapping(self, node: Mapping) -> Step:
        """A step that is a verb, or the long form of a layer."""
        keys = {key.text: (key, value) for key, value in node.entries}
        verbs = [k for k in keys if k in VERBS and not (k == "do" and "for" in keys)]
        layers = [k for k in keys if k[:1].isupper()]
        broken = BrokenStep(node.start, node.end)
        if len(verbs) + len(layers) != 1:
            self.not_one_verb(node, keys, verbs + layers)
            result = keys["name"][1] if "name" in keys else None
            if isinstance(result, Scalar):
                self.lose(result.raw)
            return broken
        if layers:
            step = self.long_form(*keys[layers[0]])
            beside: tuple[str, ...] = (layers[0], *_BESIDE_ALL)
            what = "a step in the long form"
        else:
            step = self.verb(verbs[0], keys, node)
            beside = (verbs[0], *VERBS[verbs[0]], *_BESIDE_ALL)
            what = f"{verbs[0]}:"
        for name, (key, _) in keys.items():
            if name in beside:
                continue
            owner = _COMPANIONS.get(name)
            if layers and name not in VERBS:
                help: str | None = f"arguments stand below it: {layers[0]}: {{{name}: …}}"
            else:
                help = f"it goes with {owner}:" if owner else did_you_mean(name, beside)
            self.report(key, f"{name!r} does not go with {what}", help)
        if "name" in keys:
            step.binding = self.binding(keys["name"][1])
        if "expect" in keys:
            allowed = (*STEP_FIGURES, "output")
            step.claims = self.claims(keys["expect"][1], "a step's expect", allowed)
        return step

    def not_one_verb(
        self, node: Mapping, keys: dict[str, tuple[Scalar, Node]], found: list[str]
    ) -> None:
        if len(found) > 1:
            second = keys[found[1]][0]
            help = "begin a step of its own with '- '"
            if sorted(found) == ["do", "if"]:
                help = "what is done under a condition stands behind then:"
            self.report(second, f"one step has both {found[0]}: and {found[1]}:", help)
            return
        for name, (key, _) in keys.items():
            if name in _BESIDE_ALL:
                continue
            owner = _COMPANIONS.get(name)
            if owner:
                self.report(key, f"{name!r} without {owner}:", f"write {owner}: before it")
                return
            near = did_you_mean(name, VERBS)
            if "(" in name or "->" in name:
                near = "a step that is an expression has no colon behind it"
            self.report(
                key,
                f"{name!r} is no step",
                near or f"a step is an expression, or a mapping with one of {', '.join(VERBS)}",
            )
            return
        self.report(
            node, "this step does nothing", f"it needs an expression, or one of {', '.join(VERBS)}"
        )

    def binding(self, node: Node) -> Binding | None:
        if isinstance(node, Scalar) and not node.empty:
            try:
                binding = expressions.parse_binding(node.raw, node.base)
            except Fault as fault:
                self.problems.fault(self.text, fault)
                return None
            self.check_name(binding, binding.name, "the name of a result")
            return binding
        if not isinstance(node, Broken):
            self.report(node, "name: must be a word", "write name: skip, or name: skip[i]")
        return None

    def long_form(self, key: Scalar, node: Node) -> Step:
        """`Conv2d: {out_channels: 64}` is Conv2d(out_channels=64)."""
        name = Name(key.text, key.start, key.end)
        if not key.text.isidentifier() or not key.text.isascii():
            self.report(
                key,
                f"{key.text!r} is no layer's name",
                "a step that is an expression has no colon behind it; "
                "in the long form the arguments stand below the name",
            )
            return BrokenStep(key.start, key.end)
        if isinstance(node, Broken):
            return BrokenStep(key.start, key.end)
        if isinstance(node, Scalar) and node.empty:
            return ExprStep(name, key.start, key.end)
        if not isinstance(node, Mapping):
            shown = node.raw if isinstance(node, Scalar) else "…"
            self.report(
                node,
                f"the arguments of {key.text} must be a mapping, not {_kind(node)}",
                f"write {key.text}({shown}), or name them: {key.text}: {{argument: value}}",
            )
            return BrokenStep(key.start, key.end)
        named = []
        for argument, value in node.entries:
            expr = self.value(value, argument.text)
            named.append(Keyword(argument.text, expr, argument.start, argument.end))
        call = Call(name, [], named, key.start, key.end)
        return ExprStep(call, key.start, key.end)

    def verb(self, verb: str, keys: dict[str, tuple[Scalar, Node]], node: Mapping) -> Step:
        key, value = keys[verb]
        start, end = key.start, key.end
        if verb in ("add", "mul", "concat"):
            kind: Join = "add" if verb == "add" else "mul" if verb == "mul" else "concat"
            split = self.value(keys["split"][1], "split") if "split" in keys else None
            dim = self.value(keys["dim"][1], "dim") if "dim" in keys else None
            return JoinStep(kind, self.branches(verb, value), split, dim, start, end)
        if verb == "residual":
            return self.residual(keys, value, start, end)
        if verb == "for":
            return self.loop(keys, key, value)
        if verb == "if":
            condition = self.value(value, "if")
            if "then" not in keys:
                self.report(key, "if: without then:", "write then: and a step")
                return BrokenStep(start, end)
            then = self.body(keys["then"][1], "then")
            otherwise = self.body(keys["else"][1], "else") if "else" in keys else None
            return IfStep(condition, then, otherwise, start, end)
        return DoStep(self.body(value, "do"), start, end)

    def branches(self, verb: str, node: Node) -> list[Body]:
        if not isinstance(node, Sequence):
            if not isinstance(node, Broken):
                self.report(
                    node,
                    f"{verb} takes a list of branches, not {_kind(node)}",
                    "begin each branch with '- '; Identity is the branch that changes nothing",
                )
            return []
        if len(node.items) < 2:
            self.report(
                node,
                f"{verb} needs at least two branches",
                "Identity is the branch that changes nothing",
            )
        return [self.body(item, f"this branch of {verb}") for item in node.items]

    def residual(
        self, keys: dict[str, tuple[Scalar, Node]], node: Node, start: int, end: int
    ) -> Step:
        step = ResidualStep(self.body(node, "residual"), start, end)
        if "project" in keys:
            project = keys["project"][1]
            if isinstance(project, Scalar) and project.raw in ("none", "None", "null"):
                step.no_project = True
            else:
                step.project = self.body(project, "project")
        if "shortcut" in keys:
            if "project" in keys:
                self.report(
                    keys["shortcut"][0],
                    "both project: and shortcut:",
                    "project: is used only where channels or stride change, shortcut: always",
                )
            step.shortcut = self.body(keys["shortcut"][1], "shortcut")
        return step

    def loop(self, keys: dict[str, tuple[Scalar, Node]], key: Scalar, node: Node) -> Step:
        names = self.loop_names(node)
        rows: Expr = BrokenExpr(key.start, key.end)
        body = Body([BrokenStep(key.start, key.end)], key.start, key.end)
        if "in" in keys:
            rows = self.value(keys["in"][1], "in")
        else:
            self.report(key, "for: without in:", "write in: and a count, a list or a table")
        if "do" in keys:
            body = self.body(keys["do"][1], "do")
        else:
            self.report(key, "for: without do:", "write do: and the steps to repeat")
        return ForStep(names, rows, body, key.start, key.end)

    def loop_names(self, node: Node) -> list[tuple[str, int, int]]:
        if isinstance(node, Broken):
            return []
        scalars = node.items if isinstance(node, Sequence) else [node]
        names: list[tuple[str, int, int]] = []
        taken: dict[str, int] = {}
        for scalar in scalars:
            word = scalar.text if isinstance(scalar, Scalar) else ""
            if not word.isidentifier() or not word.isascii():
                help = "write for: i, or for: [i, n]"
                if "," in word:
                    help = f"write for: [{word}]"
                self.report(scalar, "for: takes a name, or a list of names", help)
                continue
            if self.fresh(word, scalar.start, scalar.end, taken, "name"):
                self.check_name(Name(word, scalar.start, scalar.end), word, "the name of a value")
                names.append((word, scalar.start, scalar.end))
        return names


def _kind(node: Node) -> str:
    if isinstance(node, Scalar):
        return "empty" if node.empty else f"{node.text[:40]!r}"
    return "a list" if isinstance(node, Sequence) else "a mapping"
