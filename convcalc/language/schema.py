"""The JSON Schema (draft-07) of a design, for editors: completion, hovers, mistakes as one types.

Generated from the layers' classes. A step is dispatched by `if`/`then` on its key, so that an
editor tells what is wrong with the layer that was meant rather than that no alternative of a
hundred fits. Expressions are strings to it: what is in them, `convcalc check` looks at.
"""

from __future__ import annotations

from convcalc.language.figures import FIGURES, MEMORY, OPTIMIZERS, STEP_FIGURES
from convcalc.language.parsing import VERBS
from convcalc.ops.base import REGISTRY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from convcalc.ops.arguments import Argument
    from convcalc.ops.base import Op

    Schema = dict[str, Any]

_BOOLEANS = [w for word in ("yes", "no", "on", "off") for w in (word, word.title(), word.upper())]
_NAME = r"^[a-z_][A-Za-z0-9_]*$"
_SIGNATURE = r"[A-Za-z0-9_]*\s*(\(.*\))?$"


def schema() -> Schema:
    """The schema, as a value that `json.dumps` takes."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A convolutional network, in the language of convcalc",
        "type": "object",
        "properties": _top_level(),
        "required": ["convcalc", "layers"],
        "oneOf": [{"required": ["input"]}, {"required": ["inputs"]}],
        "additionalProperties": False,
        "definitions": _definitions(),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _top_level() -> Schema:
    text = {"type": ["string", "number"]}
    return {
        "convcalc": {"const": 1, "description": "The version of the language."},
        "name": {**text, "description": "The network's name. Quote it if it has ': ' in it."},
        "cite": {**text, "description": "The paper: authors, where, year, arXiv number."},
        "notes": text,
        "input": {
            **_ref("shape"),
            "description": "One sample, channels first, without the batch: [3, 224, 224], or with "
            "free sizes [3, H, W].",
        },
        "inputs": {
            **_named(_ref("shape")),
            "description": "Several inputs: {left: [3, H, W], right: [3, H, W]}.",
        },
        "vars": {**_ref("vars"), "description": "Named values and functions."},
        "blocks": {
            "type": ["object", "null"],
            "patternProperties": {f"^[A-Z]{_SIGNATURE}": _ref("body")},
            "additionalProperties": False,
            "description": "Reusable parts with parameters: Conv(c, k=3): …",
        },
        "layers": {**_ref("body"), "description": "The network: a step, or a list of steps."},
        "aux": {
            **_named(_ref("body")),
            "description": "Outputs for training alone, counted apart: aux1: i4a -> Aux.",
        },
        "outputs": {**_named(_ref("body")), "description": "Named outputs, if there are several."},
        "freeze": {
            **_ref("freeze"),
            "description": "Layers whose parameters do not train: layers.0-5, or paths.",
        },
        "default": {**text, "description": "The variant that is meant where none is named."},
        "variants": {
            "type": "object",
            "additionalProperties": _variant(),
            "description": "Other values of vars, by name; each may have its own expect.",
        },
        "expect": {**_ref("expect"), "description": "What must come out."},
        "budget": {**_ref("budget"), "description": "Upper bounds."},
    }


def _named(value: Schema) -> Schema:
    return {
        "type": "object",
        "patternProperties": {_NAME: value},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _variant() -> Schema:
    own = ("freeze", "expect", "budget")
    variant = _vars(f"(?!({'|'.join(own)})$)")
    variant["properties"] = {name: _ref(name) for name in own}
    return variant


def _vars(but: str = "") -> Schema:
    return {
        "type": ["object", "null"],
        "patternProperties": {f"^{but}([a-z_]{_SIGNATURE}|[A-Z][A-Z0-9_]*$)": _ref("value")},
        "additionalProperties": False,
    }


def _definitions() -> Schema:
    definitions: Schema = {
        "shape": {
            "type": "array",
            "items": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": ["string", "number"]}]},
            "minItems": 1,
            "maxItems": 4,
        },
        "value": {
            "if": {"type": "array"},
            "then": {"items": _ref("value")},
            "else": _scalar(),
        },
        "vars": _vars(),
        "body": {
            "if": {"type": "array"},
            "then": {"type": "array", "items": _ref("step"), "minItems": 1},
            "else": _ref("step"),
        },
        "step": _step(),
        "branches": {"type": "array", "items": _ref("body"), "minItems": 2},
        "amount": {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "number", "minimum": 0, "multipleOf": 1},
                {"type": "string", "pattern": r"^[0-9][0-9_]*(\.[0-9]+)?([eE][0-9]+)? ?[KMGT]?$"},
            ]
        },
        "bytes": {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {
                    "type": "string",
                    "pattern": r"^[0-9][0-9_]*(\.[0-9]+)?([eE][0-9]+)? ?([KMGT](iB|B)?)?$",
                },
            ]
        },
        "output": {
            "anyOf": [
                {"type": "array", "items": _ref("value")},
                {"type": "object", "additionalProperties": {"type": "array"}},
            ]
        },
        "freeze": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        },
        "expect": _claims(tuple(FIGURES), output=True),
        "budget": _claims(tuple(FIGURES), output=False),
        "stepExpect": _claims(STEP_FIGURES, output=True),
    }
    for name, cls in REGISTRY.items():
        definitions[f"layer.{name}"] = _layer(cls)
    return definitions


def _scalar() -> Schema:
    """A value that is no list: a number, true or false, an expression."""
    return {
        "type": ["string", "number", "boolean"],
        "not": {"enum": _BOOLEANS},
        "description": "A number, true or false, a list, or an expression.",
    }


def _claims(figures: tuple[str, ...], output: bool) -> Schema:
    properties = {name: _ref("bytes" if FIGURES[name] else "amount") for name in figures}
    if output:
        properties["output"] = _ref("output")
    if MEMORY[0] in figures:
        properties["batch"] = {"type": "integer", "minimum": 1, "description": "Of memory."}
        properties["optimizer"] = {"enum": list(OPTIMIZERS), "description": "Of training_peak."}
    return {"type": "object", "properties": properties, "additionalProperties": False}


# --------------------------------------------------------------------------------- steps


def _step() -> Schema:
    """An expression, a list of steps, or a mapping that its one verb or layer dispatches."""
    kinds = [*VERBS, *REGISTRY]
    return {
        "if": {"type": "object"},
        "then": {
            "allOf": [
                # `do` is also what a loop has: the verb of such a step is `for`.
                *(_dispatch(verb, _verb(verb)) for verb in VERBS if verb != "do"),
                {
                    "if": {"required": ["do"], "not": {"required": ["for"]}},
                    "then": _beside({"do": _ref("body")}, ["do"]),
                },
                *(_dispatch(name, _beside({name: _ref(f"layer.{name}")}, [])) for name in REGISTRY),
                {
                    "if": {"not": {"anyOf": [{"required": [kind]} for kind in kinds]}},
                    "then": {
                        # The long form of a block.
                        "patternProperties": {
                            "^[A-Z][A-Za-z0-9_]*$": {"type": ["object", "null"]},
                            "^(name|expect)$": {},
                        },
                        "additionalProperties": False,
                        "minProperties": 1,
                    },
                },
            ]
        },
        "else": {
            "if": {"type": "array"},
            "then": _ref("body"),
            "else": {"type": "string", "minLength": 1},
        },
    }


def _dispatch(key: str, then: Schema) -> Schema:
    return {"if": {"required": [key]}, "then": then}


def _verb(verb: str) -> Schema:
    if verb in ("add", "mul", "concat"):
        properties: Schema = {verb: _ref("branches")}
        properties.update({key: _ref("value") for key in VERBS[verb]})
        return _beside(properties, [verb])
    if verb == "residual":
        project = {"anyOf": [{"enum": ["none", None]}, _ref("body")]}
        properties = {"residual": _ref("body"), "project": project, "shortcut": _ref("body")}
        made = _beside(properties, ["residual"])
        made["not"] = {"required": ["project", "shortcut"]}
        return made
    if verb == "for":
        name = {"type": "string", "pattern": _NAME}
        names = {"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]}
        properties = {"for": names, "in": _ref("value"), "do": _ref("body")}
        return _beside(properties, ["for", "in", "do"])
    properties = {"if": _ref("value"), "then": _ref("body"), "else": _ref("body")}
    return _beside(properties, ["if", "then"])


def _beside(properties: Schema, required: list[str]) -> Schema:
    """A step's own keys, and those that may stand beside any."""
    return {
        "properties": {
            **properties,
            "name": {"type": "string", "pattern": r"^[a-z_][A-Za-z0-9_]*(\[.*\])?$"},
            "expect": _ref("stepExpect"),
        },
        "required": required,
        "additionalProperties": False,
    }


def _layer(cls: type[Op]) -> Schema:
    """The arguments of a layer in its long form."""
    properties = {a.name: _argument(a, cls.spatial or 1) for a in cls.arguments}
    if cls.inferred:
        properties[cls.inferred] = {
            "type": ["integer", "string"],
            "description": "Taken from what flows in; if it is given, it is checked.",
        }
    made: Schema = {
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
        "description": " ".join((cls.__doc__ or "").partition("\n\n")[0].split()),
    }
    required = [a.name for a in cls.arguments if a.required]
    if required:
        made["type"] = "object"
        made["required"] = required
    return made


def _argument(argument: Argument, spatial: int) -> Schema:
    """A literal that the argument takes, or an expression."""
    expression: Schema = {"type": "string", "not": {"enum": _BOOLEANS}}
    made: Schema = {"anyOf": [argument.schema(spatial), _ref_list(), expression]}
    about = [argument.doc or argument.describe]
    if not argument.required:
        default = argument.default
        shown = "none" if default is None else str(default).lower()
        about.append(f"{shown} by default")
    made["description"] = "; ".join(about)
    return made


def _ref_list() -> Schema:
    """A list with an expression in it: only a list of literals can be looked at here."""
    return {"type": "array", "contains": {"type": "string"}}
