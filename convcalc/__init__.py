"""convcalc: the type checker and cost calculator of convolutional network designs."""

from convcalc._version import __version__

__all__ = ["__version__"]
