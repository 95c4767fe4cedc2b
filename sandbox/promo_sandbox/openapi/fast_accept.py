"""A quick yes for the common case: a schema written out as Python functions, one for each kind of object.

`True` means that `jsonschema_rs` would say so too (a Hypothesis test compares them); `False` only that it must be
asked. What is not understood here is asked of it at once, part by part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any

import jsonschema_rs

from promo_sandbox.base import clock
from promo_sandbox.openapi.integers import Integers, mentions_integer

Test = Callable[[Any], bool]
Schema = Mapping[str, Any]

_OBJECT = frozenset({"type", "properties", "required", "allOf"})
_LENGTHS = frozenset({"type", "minLength", "maxLength"})
_NUMBER = frozenset({"type", "minimum", "maximum", "multipleOf", "format"})
_BOUNDS = {"minimum": None, "maximum": None, "multipleOf": None}.keys()
_TYPES = {"string": "str", "boolean": "bool", "array": "list", "object": "dict", "null": "NoneType"}
_SHORT = 100  # characters
_SMALL = 200  # bytes of a number
_IN_PLACE = 2  # levels of objects in objects that are written out in one function
_REMEMBERED = 512  # texts
# A member that is missing, one of a type that cannot be looked up in a set, more digits than the decimal context has,
# a schema that is nothing but itself.
_DOUBT = (KeyError, TypeError, ArithmeticError, RecursionError)


def compile_test(schema: Schema, definitions: Schema) -> Test:
    """A test of values as `msgspec` decodes them: dict, list, str, int, Decimal, bool, None.

    Written out it takes a third of the time of tests that call tests: most of that is calls. The source consists of the
    templates below; what the schema adds is the names of members and constants, as literals, and bound objects.
    """
    writer = _Writer(definitions)
    name = writer.function(schema)
    test: Test = writer.written()[name]
    return test


def optional_field_tests(schema: Schema, definitions: Schema) -> dict[str, Test]:
    """Tests of members that an object may lack, if its schema judges each member by itself; else there are none.

    What passes them can be left out when it is asked what is wrong with the object.
    """
    members, required = _gathered(schema, definitions) or ({}, {})
    writer = _Writer(definitions)
    optional = {name: parts[0] for name, parts in members.items() if name not in required and len(parts) == 1}
    named = {name: writer.function(part) for name, part in optional.items()}
    bound = writer.written()
    return {name: bound[function] for name, function in named.items()}


class _TextCache:
    """A format or a pattern is judged once for the same short text, which a request, its reply and its event share."""

    __slots__ = ("_is_valid", "valid")

    def __init__(self, is_valid: Test) -> None:
        self._is_valid = is_valid
        self.valid: set[str] = set()

    def validate(self, text: Any) -> bool:
        valid = self._is_valid(text)
        if valid and len(text) <= _SHORT:
            if len(self.valid) >= _REMEMBERED:
                self.valid.clear()
            self.valid.add(text)
        return valid


class _NumberCache:
    """A number is judged once: a request, its reply and its event share it, as one object that nobody can change.

    By its identity, since to hash a `Decimal` takes as long as to judge it.
    """

    __slots__ = ("_least", "_most", "_step", "valid")

    def __init__(self, least: Decimal | None, most: Decimal | None, step: Decimal | None) -> None:
        self._least, self._most, self._step = least, most, step
        self.valid: dict[int, Decimal | int] = {}  # kept, so that no other object has the same identity

    def validate(self, number: Any) -> bool:
        if type(number) is not Decimal and type(number) is not int:
            return False
        if (self._least is not None and number < self._least) or (self._most is not None and number > self._most):
            return False
        # What is far smaller than the step leaves, rounded, a rest of 0 too.
        step = self._step
        if step is not None and (number % step or (number and -step < number < step)):
            return False
        if sys.getsizeof(number) <= _SMALL:
            if len(self.valid) >= _REMEMBERED:
                self.valid.clear()
            self.valid[id(number)] = number
        return True


@cache
def _number_cache(least: Decimal | None, most: Decimal | None, step: Decimal | None) -> _NumberCache:
    return _NumberCache(least, most, step)


@cache
def _text_cache(keywords: tuple[tuple[str, str | int], ...]) -> _TextCache:
    return _TextCache(compile_validator(dict(keywords)).is_valid)


def compile_validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    """The judge of last resort.

    Patterns are matched in linear time, unless one of the schema's looks around: the engine that can do that, the
    library's own choice, may also take ages, and finds `x` in `^x+y*x+$`. No pattern of our specs looks around.
    """
    try:
        return _validate(schema, jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:
        return _validate(schema, jsonschema_rs.FancyRegexOptions())


def _validate(
    schema: Schema, patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions
) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        dict(schema),
        validate_formats=True,
        ignore_unknown_formats=True,
        offline=True,
        formats=_FORMATS,
        pattern_options=patterns,
    )


def _is_date_time(text: str) -> bool:
    """As strict as our own clock, which must be able to read whatever was let in."""
    try:
        clock.parse(text)
    except ValueError:
        return False
    return True


_FORMATS = {"date-time": _is_date_time}


class _Writer:
    """Writes functions of one value `v`, and expressions on a variable, that say whether it fits a schema."""

    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions
        self._named: dict[str, str] = {}  # definition -> its function
        self._unnamed: dict[int, str] = {}  # any other schema, by its identity -> its function
        self.lines: list[str] = []
        self.bound: dict[str, Any] = {"Decimal": Decimal, "NoneType": NoneType, "DOUBT": _DOUBT}  # what the names mean

    def written(self) -> dict[str, Any]:
        """The functions by their names."""
        exec("\n".join(self.lines), self.bound)  # noqa: S102 - our own templates, and constants as literals
        return self.bound

    def function(self, schema: Schema) -> str:
        """Write a function; its name."""
        if schema.keys() - {"$defs"} == {"$ref"}:
            return self._definition(_name(schema))
        if id(schema) not in self._unnamed:  # one inside itself, by way of a definition, has one function too
            self._unnamed[id(schema)] = self._bind("test", None)  # bound to the function when that is defined
            self._define(self._unnamed[id(schema)], schema)
        return self._unnamed[id(schema)]

    def _definition(self, name: str) -> str:
        """A definition has one function, so it may contain itself."""
        if name not in self._named:
            self._named[name] = self._bind("test", None)
            self._define(self._named[name], self._definitions[name])
        return self._named[name]

    def _define(self, name: str, schema: Schema) -> None:
        body = self._object(schema) or self._choice(schema) or [f"return {self._expression(schema, 'v')}"]
        self.lines += [f"def {name}(v):", " try:", *(f"  {line}" for line in body), " except DOUBT:", "  return False"]

    def _bind(self, kind: str, value: Any) -> str:
        name = f"{kind}{len(self.bound)}"
        self.bound[name] = value
        return name

    def _expression(self, schema: Schema, value: str) -> str:
        keys = schema.keys() - {"$defs"}
        if keys == {"$ref"}:
            definition = self._definitions[_name(schema)]
            # Texts and numbers are judged in place, which saves a call.
            in_place = definition.get("type") in ("string", "number", "integer")
            return self._expression(definition, value) if in_place else f"{self.function(schema)}({value})"
        if not keys:
            return "True"
        found = (
            _text(schema, keys, value)
            or self._constants(schema, keys, value)
            or self._number(schema, keys, value)
            or self._nullable(schema, keys, value)
            or _types(schema, keys, value)
            or self._array(schema, keys, value)
        )
        if found:
            return found
        if keys == {"oneOf"} or _gathered(schema, self._definitions):
            return f"{self.function(schema)}({value})"
        return self._library_test(schema, value)

    def _constants(self, schema: Schema, keys: set[str], value: str) -> str | None:
        if schema.get("type") != "string" or keys not in ({"type", "enum"}, {"type", "const"}):
            return None
        allowed = [schema["const"]] if "const" in keys else schema["enum"]
        return f"{value} in {self._bind('texts', frozenset(text for text in allowed if isinstance(text, str)))}"

    def _nullable(self, schema: Schema, keys: set[str], value: str) -> str | None:
        """A text, a number or an array, or null."""
        kinds = schema.get("type")
        if not isinstance(kinds, list) or len(kinds) != 2 or "null" not in kinds:  # noqa: PLR2004 - one besides null
            return None
        plain = {**schema, "type": next((kind for kind in kinds if kind != "null"), "null")}
        found = _text(plain, keys, value) or self._number(plain, keys, value) or self._array(plain, keys, value)
        return f"({value} is None or {found})" if found else None

    def _array(self, schema: Schema, keys: set[str], value: str) -> str | None:
        if keys != {"type", "items"} or schema["type"] != "array":
            return None
        return f"type({value}) is list and all(map({self.function(schema['items'])}, {value}))"

    def _number(self, schema: Schema, keys: set[str], value: str) -> str | None:
        kind = schema.get("type")
        if kind not in ("number", "integer") or not keys <= _NUMBER:
            return None
        if not all(isinstance(schema.get(key, 0), int | Decimal) for key in ("minimum", "maximum")):
            return None
        if kind == "number" and keys & _BOUNDS:
            bounds = [Decimal(str(schema[key])) if key in keys else None for key in _BOUNDS]
            amounts = _number_cache(*bounds)
            valid, validate = self._bind("valid", amounts.valid.get), self._bind("validate", amounts.validate)
            return f"({valid}(id({value}), DOUBT) is {value} or {validate}({value}))"
        # `1.0` is an integer too, but must be noticed, to be kept as 1.
        test = f"type({value}) is int" if kind == "integer" else f"(type({value}) is Decimal or type({value}) is int)"
        for key, sign in (("minimum", ">="), ("maximum", "<=")):
            if key in keys:
                test += f" and {value} {sign} {self._bind(key, schema[key])}"
        if "multipleOf" in keys:
            test += f" and not {value} % {self._bind('step', Decimal(str(schema['multipleOf'])))}"
        return test

    def _library_test(self, schema: Schema, value: str) -> str:
        if schema.get("type") == "string" and all(isinstance(said, str | int) for said in schema.values()):
            texts = _text_cache(tuple(schema.items()))
            valid, validate = self._bind("valid", texts.valid), self._bind("validate", texts.validate)
            return f"({value} in {valid} or {validate}({value}))"
        valid = self._bind("valid", compile_validator({**schema, "$defs": self._definitions}).is_valid)
        if not mentions_integer([schema], self._definitions):
            return f"{valid}({value})"
        written = self._bind("written", Integers([schema], self._definitions).normalise)
        return f"({valid}({value}) and {written}({value}) is {value})"

    def _object(self, schema: Schema) -> list[str] | None:
        lines = self._members(schema, "v", 0)
        return None if lines is None else [*lines, "return True"]

    def _members(self, schema: Schema, value: str, depth: int) -> list[str] | None:
        """An object, or an `allOf` of objects as one, so that each member is looked at once.

        Objects in it are written out in place, which saves calls, but not for ever: one may contain itself.
        """
        gathered = _gathered(schema, self._definitions)
        if gathered is None or not (schema.keys() & {"properties", "allOf", "required"} or (depth and gathered[0])):
            return None
        members, required = gathered
        lines = [f"if type({value}) is not dict:", " return False"]
        lines += [f"{value}[{name!r}]" for name in required if name not in members]
        for name, described in members.items():
            optional = [f"if {name!r} in {value}:"] if name not in required else []
            inner = self._member(f"{value}[{name!r}]", described, f"m{depth}", depth)
            lines += [*optional, *(f" {line}" if optional else line for line in inner)]
        return lines

    def _member(self, taken: str, described: list[Schema], name: str, depth: int) -> list[str]:
        """A member is given a name only if it is looked at more than once."""
        tests: list[str] = []
        for schema in described:
            tests += (self._members(schema, name, depth + 1) if depth < _IN_PLACE else None) or [
                f"if not ({self._expression(schema, name)}):",
                " return False",
            ]
        if "\n".join(tests).count(name) == 1:
            return [line.replace(name, taken) for line in tests]
        return [f"{name} = {taken}", *tests]

    def _choice(self, schema: Schema) -> list[str] | None:
        """A `oneOf` whose members each demand another constant in the same member: that one decides."""
        if schema.keys() - {"$defs"} != {"oneOf"}:
            return None
        name, constants = _deciding(schema["oneOf"], self._definitions)
        if name is None:
            return [f"return {self._library_test(schema, 'v')}"]
        lines = ["if type(v) is not dict:", " return False", f"m = v[{name!r}]"]
        for constant, choice in zip(constants, schema["oneOf"], strict=True):
            lines += [f"if m == {constant!r}:", f" return {self._expression(choice, 'v')}"]
        return [*lines, "return False"]


def chosen_alternative(schema: Schema, definitions: Schema, value: Any) -> int | None:
    """Which alternative of a `oneOf` a constant of the value decides for; None if none does."""
    if schema.keys() - {"$defs"} != {"oneOf"} or type(value) is not dict:
        return None
    name, constants = _deciding(schema["oneOf"], definitions)
    said = value.get(name) if name is not None else None
    return constants.index(said) if isinstance(said, str) and said in constants else None


def _deciding(choices: list[Schema], definitions: Schema) -> tuple[str | None, list[str | None]]:
    """The member in which each choice demands another constant, and these constants."""
    gathered = [_gathered(choice, definitions) for choice in choices]
    for name in gathered[0][0] if gathered[0] else ():
        constants = [_constant(name, found) for found in gathered]
        if None not in constants and len(set(constants)) == len(constants):
            return name, constants
    return None, []


def _name(reference: Schema) -> str:
    name: str = reference["$ref"].rsplit("/", 1)[1]
    return name


def _text(schema: Schema, keys: set[str], value: str) -> str | None:
    """A text, and how many characters it may have."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("type") != "string" or not keys <= _LENGTHS or not isinstance(least, int):
        return None
    if most is None:
        return f"type({value}) is str" + (f" and len({value}) >= {least}" if least else "")
    return f"type({value}) is str and {least} <= len({value}) <= {most}" if isinstance(most, int) else None


def _types(schema: Schema, keys: set[str], value: str) -> str | None:
    """A type or several, and nothing else."""
    if keys != {"type"}:
        return None
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not all(kind in _TYPES for kind in kinds):
        return None
    return f"({' or '.join(f'type({value}) is {_TYPES[kind]}' for kind in kinds)})"


Gathered = tuple[dict[str, list[Schema]], dict[str, None]]


def _gathered(schema: Schema, definitions: Schema, within: tuple[str, ...] = ()) -> Gathered | None:
    """What an object and all it is composed of say of its members, and which it must have; None if it says more."""
    keys = schema.keys() - {"$defs"}
    if keys == {"$ref"}:
        name = _name(schema)
        return None if name in within else _gathered(definitions[name], definitions, (*within, name))
    if not keys <= _OBJECT or schema.get("type", "object") != "object":
        return None
    members: dict[str, list[Schema]] = {}
    required: dict[str, None] = {}
    for part in schema.get("allOf", ()):
        gathered = _gathered(part, definitions, within)
        if gathered is None:
            return None
        for name, described in gathered[0].items():
            members.setdefault(name, []).extend(described)
        required |= gathered[1]
    for name, member in schema.get("properties", {}).items():
        if member not in members.setdefault(name, []):
            members[name].append(member)
    required |= dict.fromkeys(schema.get("required", ()))
    return members, required


def _constant(name: str, gathered: Gathered | None) -> str | None:
    """The only text that a required member may have."""
    if gathered is None or name not in gathered[1]:
        return None
    constants = {member["const"] for member in gathered[0].get(name, ()) if isinstance(member.get("const"), str)}
    return constants.pop() if len(constants) == 1 else None
