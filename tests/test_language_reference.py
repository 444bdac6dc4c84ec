"""Every example of architectures/README.md does what is said of it.

An example builds and its claims hold; one with `# error: …` gives an error that says so, one with
`# warning: …` a warning.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from convcalc.analysis.expectations import compare
from convcalc.analysis.summary import Summary
from convcalc.errors import DesignError
from convcalc.graph import flow
from convcalc.language import parse_document
from convcalc.language.parsing import TOP_LEVEL, VERBS
from convcalc.language.values import BUILTINS

TEXT = (Path(__file__).parent.parent / "architectures" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.M | re.S)
SAYS = re.compile(r"^# (error|warning): (.*)$", re.M)


def whole(example: str) -> str:
    """The example as a file."""
    if example.startswith("-"):
        example = f"layers:\n{example}"
    if not re.search(r"^inputs?:", example, re.M):
        example = f"input: [3, 64, 64]\n{example}"
    return example if "convcalc: 1" in example else f"convcalc: 1\n{example}"


def tell(example: str) -> tuple[str, str]:
    """(error, warnings) of an example in all its variants. Its claims hold, or it is an
    AssertionError."""
    try:
        document = parse_document(whole(example), "example.yaml")
        warnings = ""
        for variant in document.variants or (None,):
            summary = Summary(flow(document.build(variant)))
            warnings += "".join(str(w) for w in summary.warnings)
            claims = compare(summary, document.expect(variant), document.budget(variant))
            wrong = [str(c) for c in claims if not c.ok]
            assert not wrong, wrong
    except DesignError as error:
        return str(error), ""
    return "", warnings


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(example: str) -> None:
    said = SAYS.search(example)
    error, warnings = tell(example)
    if said is None:
        assert (error, warnings) == ("", "")
    else:
        assert said[2] in (error if said[1] == "error" else warnings)


def test_a_wrong_example_is_caught() -> None:
    assert tell("- Conv2d(8, 3, paddng=1)\n")[0]
    assert tell("- Conv2d(8, 3, 3)\n")[1]
    with pytest.raises(AssertionError):
        tell("layers: Conv2d(8, 3)\nexpect: {params: 223}\n")


@pytest.mark.parametrize(
    "word", [*TOP_LEVEL, *VERBS, *(k for keys in VERBS.values() for k in keys), *BUILTINS]
)
def test_every_word_of_the_language_is_used_in_an_example(word: str) -> None:
    code = re.sub(r"#.*", "", "\n".join(EXAMPLES))
    assert re.search(rf"\b{word}\b", code), word
