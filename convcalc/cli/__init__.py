"""The command line. Each command is a file of `commands`, loaded when it is called."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, TextIO

OK = 0
FAILED = 1
WRONG = 2
INTERRUPTED = 130
CLOSED_PIPE = 141  # as a shell tells of a program that SIGPIPE ended
#: What the first three mean, for the overview.
EXIT_CODES = {
    OK: "all right",
    FAILED: "a figure, an expectation, a budget or (with --strict) a warning failed; a layer does "
    "not give its --output; designs differ (diff --exit-code)",
    WRONG: "the file or the command line is wrong, or what is told cannot be written",
}

#: A shell that completes words sets it; the name is click's for a program called convcalc.
COMPLETE = "_CONVCALC_COMPLETE"

#: Name → what it does, for the overview. Each is a module of `convcalc.cli.commands`.
COMMANDS = {
    "summary": "every layer's output size, parameters and MACs, and the totals",
    "check": "prove every figure by running the network in PyTorch",
    "layer": "one layer without a file: its rule in numbers, what fits, what ? must be",
    "fit": "which input sizes it takes, which fit, which give a wanted output",
    "diff": "what changed from one design to another, layer by layer",
    "list": "the networks that come with convcalc",
    "ops": "the layers there are, with arguments, rules and sources",
    "schema": "the language as a JSON Schema, for editors",
}
EXAMPLES = (
    "convcalc summary vgg16",
    "convcalc summary resnet --variant resnet50 --input 3x256x256",
    "convcalc check vgg16 --no-run",
)


def command(name: str) -> ModuleType:
    """The module of a command; raises UsageError where there is none of that name."""
    if name not in COMMANDS:
        from convcalc.cli.parser import UsageError
        from convcalc.errors import closest

        near = closest(name, COMMANDS)
        hint = f"did you mean {near}?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"convcalc has no command {name!r}", hint)
    path = f"convcalc.cli.commands.{name}"
    __import__(path)  # importlib would import a millisecond more
    return sys.modules[path]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (None: that of the process); return the exit code."""
    if arguments is not None:
        return _guarded(list(arguments))
    # A process so short makes little garbage. Looking for it while it works and, of everything that
    # was loaded, when it ends would cost `summary` a fifth of its time.
    gc.disable()
    _import_yaml()
    code = _guarded(sys.argv[1:])
    gc.freeze()
    return code


class _Pattern:
    """A regular expression that is compiled when it is first used."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __getattr__(self, name: str) -> Any:
        import re

        return getattr(re.compile(*self._arguments), name)


def _import_yaml() -> None:
    """Import PyYAML without the regular expressions that it compiles meanwhile.

    They are for its parser in Python and for types that convcalc leaves alone. One has all of
    Unicode in it: together they take half as long as the interpreter takes to start. Only the
    process of a command line does this, before it has a second thread.
    """
    import re

    compile = re.compile
    re.compile = _Pattern  # type: ignore[assignment]  # for the time of one import
    try:
        import yaml  # noqa: F401  # for those who import it next
    except ImportError:
        pass  # whoever needs it tells of it
    finally:
        re.compile = compile


def _guarded(words: list[str]) -> int:
    """Run a command line; whatever goes wrong is told on stderr, without a traceback."""
    try:
        code = _dispatch(words)
        if sys.stdout is not None:  # it may be closed where all went to a file
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave(sys.stdout)
        return CLOSED_PIPE
    except Exception as error:
        try:
            _tell(error)
        except OSError:  # nor does stderr take it; the exit code still says that something is wrong
            _leave(sys.stderr)
        return WRONG


def _dispatch(words: list[str]) -> int:
    if COMPLETE in os.environ:
        from convcalc.cli import clicked

        clicked.complete()
    if not words or words[0].startswith("-") or words[0] == "help":
        from convcalc.cli import clicked

        clicked.overview(words)
        return OK
    module = command(words[0])
    values = module.parser().parse(words[1:])
    return OK if values is None else int(module.run(values))


def _tell(error: Exception) -> None:
    """Tell of an error on stderr."""
    from convcalc.cli.console import show_error, show_problems
    from convcalc.errors import ConvcalcError, DesignError

    if isinstance(error, DesignError):
        show_problems(error.problems)
    elif isinstance(error, ConvcalcError):
        show_error(getattr(error, "message", str(error)), getattr(error, "help", None))
    elif isinstance(error, RecursionError):
        show_error("the design is nested too deeply", "use fewer blocks within blocks")
    elif isinstance(error, MemoryError):
        show_error("there is not enough memory for this")
    elif isinstance(error, OSError):
        show_error(f"{error.filename or 'input or output'}: {error.strerror or error}")
    else:
        if os.environ.get("CONVCALC_DEBUG"):
            raise error
        show_error(
            f"convcalc failed, which is a fault of its own: {type(error).__name__}: {error}",
            "please report it; with CONVCALC_DEBUG=1 in the environment it shows where",
        )


def _leave(stream: TextIO) -> None:
    """The stream takes no more: keep Python from trying again, and telling of it, at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
