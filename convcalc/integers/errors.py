"""What can go wrong with sizes. All errors are IntegersErrors: ConvcalcErrors and ValueErrors."""

from __future__ import annotations

from convcalc.errors import ConvcalcError


class IntegersError(ConvcalcError, ValueError):
    """Base of the errors of this package."""


class UndecidedError(IntegersError):
    """A question about formulas that this package can neither prove nor refute."""


class MissingSymbolError(IntegersError):
    """A formula was evaluated without a value for one of its symbols."""

    def __init__(self, name: str, formula: str) -> None:
        super().__init__(f"no value for {name} in {formula}; pass {name}=…")
        self.name = name
        self.formula = formula

    def __reduce__(self) -> tuple[type[MissingSymbolError], tuple[str, str]]:
        return type(self), (self.name, self.formula)


class OutOfRangeError(IntegersError):
    """A symbol was given a value below its lower bound, where its formulas promise nothing."""


class FormulaTooLargeError(IntegersError):
    """A formula with more terms, powers or characters than anybody could read or store."""


class FormulaSyntaxError(IntegersError):
    """Text that is no formula. `column` counts characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.message = message
        self.column = column

    def __reduce__(self) -> tuple[type[FormulaSyntaxError], tuple[str, int]]:
        return type(self), (self.message, self.column)


class OverflowFallbackWarning(RuntimeWarning):
    """Numbers no longer fit in int64: the array goes on with exact, slow Python ints."""
