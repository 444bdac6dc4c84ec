"""The networks that come with convcalc, by name.

In a wheel they lie in the package, in a checkout beside it.
"""

from __future__ import annotations

import os

_HERE = os.path.dirname(os.path.abspath(__file__))
_FOLDERS = tuple(os.path.join(home, "architectures") for home in (_HERE, os.path.dirname(_HERE)))
SUFFIX = ".yaml"
#: The folder of the lectures' exercises within the zoo.
LECTURES = "lectures"


def folder() -> str | None:
    """The folder of the zoo's files; None where they were not installed."""
    return next((path for path in _FOLDERS if os.path.isdir(path)), None)


def names(inside: str = "") -> list[str]:
    """The names of all networks in the zoo, or in a folder of it, in alphabetical order."""
    where = folder()
    if where is None or not os.path.isdir(os.path.join(where, inside)):
        return []
    found = sorted(os.listdir(os.path.join(where, inside)))
    before = f"{inside}/" if inside else ""
    return [before + name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)]


def path(name: str) -> str | None:
    """The file of the network of that name, with or without ".yaml"; None where there is none.

    Those in a folder of the zoo have its name before theirs: "lectures/d0_cs231n".
    """
    where = folder()
    name = name.removesuffix(SUFFIX)
    if where is None or not all(part.isidentifier() for part in name.split("/")):
        return None
    file = os.path.join(where, name + SUFFIX)
    if not os.path.isfile(file):
        return None
    try:
        near = os.path.relpath(file)  # in a checkout, as one would write it
    except ValueError:  # Windows: on another drive
        return file
    return file if near.startswith(os.pardir) else near
