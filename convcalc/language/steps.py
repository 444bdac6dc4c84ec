"""What a design is made of once it is read: steps, bodies, definitions. Places are indices.

`parsing` makes these from YAML nodes, `checks` looks them over, `interpreter` runs them.
"""

from __future__ import annotations

from convcalc.language.expressions import Binding, Expr, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from convcalc.language.figures import Claim

    Join = Literal["add", "mul", "concat"]
    #: A word of `freeze:`, and where it starts and ends.
    Word = tuple[str, int, int]


class Step:
    """One step of a body.

    binding: the name that its result gets, or None. claims: its `expect:`.
    """

    __slots__ = ("binding", "claims", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.binding: Binding | None = None
        self.claims: list[Claim] = []


class Body:
    """Steps, one after another."""

    __slots__ = ("end", "start", "steps")

    def __init__(self, steps: list[Step], start: int, end: int) -> None:
        self.steps = steps
        self.start = start
        self.end = end


class ExprStep(Step):
    """`Conv2d(64, 3) -> ReLU`, or the long form, which is a call with named arguments."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr, start: int, end: int) -> None:
        super().__init__(start, end)
        self.expr = expr


class JoinStep(Step):
    """`add:`, `mul:` or `concat:` of branches that start from the same value, or a share of it."""

    __slots__ = ("branches", "dim", "kind", "split")

    def __init__(
        self,
        kind: Join,
        branches: list[Body],
        split: Expr | None,
        dim: Expr | None,
        start: int,
        end: int,
    ) -> None:
        super().__init__(start, end)
        self.kind: Join = kind
        self.branches = branches
        self.split = split
        self.dim = dim


class ResidualStep(Step):
    """`residual:`, with `project:` (a body; or none: no_project) or `shortcut:`."""

    __slots__ = ("body", "no_project", "project", "shortcut")

    def __init__(self, body: Body, start: int, end: int) -> None:
        super().__init__(start, end)
        self.body = body
        self.project: Body | None = None
        self.no_project = False
        self.shortcut: Body | None = None


class ForStep(Step):
    """`for: names`, `in: rows`, `do: body`. A name is (name, start, end)."""

    __slots__ = ("body", "names", "rows")

    def __init__(
        self, names: list[tuple[str, int, int]], rows: Expr, body: Body, start: int, end: int
    ) -> None:
        super().__init__(start, end)
        self.names = names
        self.rows = rows
        self.body = body


class IfStep(Step):
    """`if: condition`, `then: body`, `else: body`."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(
        self, condition: Expr, then: Body, otherwise: Body | None, start: int, end: int
    ) -> None:
        super().__init__(start, end)
        self.condition = condition
        self.then = then
        self.otherwise = otherwise


class DoStep(Step):
    """`do: body`, to give a body a name or an expectation."""

    __slots__ = ("body",)

    def __init__(self, body: Body, start: int, end: int) -> None:
        super().__init__(start, end)
        self.body = body


class BrokenStep(Step):
    """A step whose fault was reported already."""

    __slots__ = ()


class Definition:
    """A var (parameters is None) or a function of `vars`."""

    __slots__ = ("depth", "end", "expr", "name", "parameters", "start")

    def __init__(
        self, name: str, parameters: list[Parameter] | None, expr: Expr, start: int, end: int
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.expr = expr
        self.depth = 0  # of a function: the frames that evaluating it takes
        self.start = start
        self.end = end


class Block:
    """A definition of `blocks`."""

    __slots__ = ("body", "end", "name", "parameters", "start")

    def __init__(
        self, name: str, parameters: list[Parameter], body: Body, start: int, end: int
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.body = body
        self.start = start
        self.end = end


class Entry:
    """A named body of `aux` or `outputs`, or a named shape of `inputs` (then `shape`)."""

    __slots__ = ("body", "end", "name", "shape", "start")

    def __init__(
        self, name: str, start: int, end: int, body: Body | None = None, shape: Expr | None = None
    ) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.body = body
        self.shape = shape


class Variant:
    """One entry of `variants`: what it overrides, and its own claims."""

    __slots__ = ("budget", "definitions", "end", "expect", "freeze", "name", "start")

    def __init__(self, name: str, start: int, end: int) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.definitions: dict[str, Definition] = {}
        self.freeze: list[Word] | None = None  # None: what stands at the top
        self.expect: list[Claim] = []
        self.budget: list[Claim] = []


class Design:
    """Everything that a file says."""

    __slots__ = (
        "aux",
        "blocks",
        "budget",
        "cite",
        "default",
        "expect",
        "freeze",
        "inputs",
        "layers",
        "lost",
        "lost_names",
        "name",
        "notes",
        "outputs",
        "results",
        "several_inputs",
        "variants",
        "vars",
    )

    def __init__(self) -> None:
        self.name = ""
        self.cite = ""
        self.notes = ""
        self.inputs: list[Entry] = []
        self.several_inputs = False
        self.vars: dict[str, Definition] = {}
        self.blocks: dict[str, Block] = {}
        self.layers = Body([], 0, 0)
        self.aux: list[Entry] = []
        self.outputs: list[Entry] = []
        self.results: dict[str, int] = {}  # the names that steps give → their lines
        # Names whose definitions could not be read, and whether there are some that are not known:
        # to miss one is no fault of who uses it.
        self.lost_names: set[str] = set()
        self.lost = False
        self.variants: dict[str, Variant] = {}
        self.default: str | None = None
        self.freeze: list[Word] = []
        self.expect: list[Claim] = []
        self.budget: list[Claim] = []
