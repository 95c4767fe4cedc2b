"""Accepts valid values fast: compiles a schema to Python functions, one for each kind of object.

`True` means that `jsonschema_rs` accepts the value too (a Hypothesis test compares them). `False` means only that the
library must validate the value. A part of a schema that is not understood here is left to the library.
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
_INLINE_DEPTH = 2  # levels of nested objects that are validated in the same function
_REMEMBERED = 512  # texts or numbers of a cache
# A missing field, a value that is not hashable, more digits than the decimal context has, a schema that contains only
# itself.
_DOUBT = (KeyError, TypeError, ArithmeticError, RecursionError)


def compile_test(schema: Schema, definitions: Schema) -> Test:
    """A test of values as `msgspec` decodes them: dict, list, str, int, Decimal, bool, None.

    Generated source takes a third of the time of nested function calls. The source consists of the templates below.
    The schema adds only field names and constants, as literals, and bound objects.
    """
    writer = _Writer(definitions)
    name = writer.function(schema)
    test: Test = writer.compiled()[name]
    return test


def optional_field_tests(schema: Schema, definitions: Schema) -> dict[str, Test]:
    """Tests of the optional fields of an object, if its schema validates each field independently; else none.

    A field that passes its test can be left out when the errors of the object are computed.
    """
    fields, required = _collect_fields(schema, definitions) or ({}, {})
    writer = _Writer(definitions)
    optional = {name: parts[0] for name, parts in fields.items() if name not in required and len(parts) == 1}
    functions = {name: writer.function(part) for name, part in optional.items()}
    bound = writer.compiled()
    return {name: bound[function] for name, function in functions.items()}


class _TextCache:
    """Validates the format or pattern of a short text once: a request, its reply and its event have the same text."""

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
    """Validates a number once. A request, its reply and its event share the same immutable object.

    The key is the identity of the object, since hashing a `Decimal` takes as long as validating it.
    """

    __slots__ = ("_least", "_most", "_step", "valid")

    def __init__(self, least: Decimal | None, most: Decimal | None, step: Decimal | None) -> None:
        self._least, self._most, self._step = least, most, step
        self.valid: dict[int, Decimal | int] = {}  # keeps the objects alive, so that identities stay unique

    def validate(self, number: Any) -> bool:
        if type(number) is not Decimal and type(number) is not int:
            return False
        if (self._least is not None and number < self._least) or (self._most is not None and number > self._most):
            return False
        # A number that is much smaller than the step also has a rounded remainder of 0.
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
    """The library's validator of a schema.

    Patterns are matched in linear time, unless a pattern of the schema has look-around. Only the library's default
    engine supports that; it can be very slow, and it finds `x` in `^x+y*x+$`. No bundled spec has look-around.
    """
    try:
        return _library_validator(schema, jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:
        return _library_validator(schema, jsonschema_rs.FancyRegexOptions())


def _library_validator(
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
    """As strict as `clock.parse`, which must be able to parse every accepted text."""
    try:
        clock.parse(text)
    except ValueError:
        return False
    return True


_FORMATS = {"date-time": _is_date_time}


class _Writer:
    """Generates the source of tests: functions of a value `v`, and expressions on a variable."""

    def __init__(self, definitions: Schema) -> None:
        self._definitions = definitions
        self._named: dict[str, str] = {}  # name of a definition -> name of its function
        self._unnamed: dict[int, str] = {}  # identity of any other schema -> name of its function
        self.lines: list[str] = []
        self.bound: dict[str, Any] = {"Decimal": Decimal, "NoneType": NoneType, "DOUBT": _DOUBT}  # the global names

    def compiled(self) -> dict[str, Any]:
        """The functions by name."""
        exec("\n".join(self.lines), self.bound)  # noqa: S102 - our own templates, and constants as literals
        return self.bound

    def function(self, schema: Schema) -> str:
        """Generate the function of a schema. Returns the name of the function."""
        if schema.keys() - {"$defs"} == {"$ref"}:
            return self._definition(_name(schema))
        if id(schema) not in self._unnamed:  # also ends the recursion of a schema inside itself
            self._unnamed[id(schema)] = self._bind("test", None)  # `def` replaces None
            self._define(self._unnamed[id(schema)], schema)
        return self._unnamed[id(schema)]

    def _definition(self, name: str) -> str:
        """The function of a definition. There is only one, so a definition may contain itself."""
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
            # Texts and numbers are tested inline, which saves a call.
            inline = definition.get("type") in ("string", "number", "integer")
            return self._expression(definition, value) if inline else f"{self.function(schema)}({value})"
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
        if keys == {"oneOf"} or _collect_fields(schema, self._definitions):
            return f"{self.function(schema)}({value})"
        return self._library_test(schema, value)

    def _constants(self, schema: Schema, keys: set[str], value: str) -> str | None:
        if schema.get("type") != "string" or keys not in ({"type", "enum"}, {"type", "const"}):
            return None
        allowed = [schema["const"]] if "const" in keys else schema["enum"]
        return f"{value} in {self._bind('texts', frozenset(text for text in allowed if isinstance(text, str)))}"

    def _nullable(self, schema: Schema, keys: set[str], value: str) -> str | None:
        """A text, number or array that may be null."""
        types = schema.get("type")
        if not isinstance(types, list) or len(types) != 2 or "null" not in types:  # noqa: PLR2004 - null and another
            return None
        plain = {**schema, "type": next((type_ for type_ in types if type_ != "null"), "null")}
        found = _text(plain, keys, value) or self._number(plain, keys, value) or self._array(plain, keys, value)
        return f"({value} is None or {found})" if found else None

    def _array(self, schema: Schema, keys: set[str], value: str) -> str | None:
        if keys != {"type", "items"} or schema["type"] != "array":
            return None
        return f"type({value}) is list and all(map({self.function(schema['items'])}, {value}))"

    def _number(self, schema: Schema, keys: set[str], value: str) -> str | None:
        type_ = schema.get("type")
        if type_ not in ("number", "integer") or not keys <= _NUMBER:
            return None
        if not all(isinstance(schema.get(key, 0), int | Decimal) for key in ("minimum", "maximum")):
            return None
        if type_ == "number" and keys & _BOUNDS:
            bounds = [Decimal(str(schema[key])) if key in keys else None for key in _BOUNDS]
            numbers = _number_cache(*bounds)
            valid, validate = self._bind("valid", numbers.valid.get), self._bind("validate", numbers.validate)
            return f"({valid}(id({value}), DOUBT) is {value} or {validate}({value}))"
        # `1.0` is an integer too, but it is not accepted here, because it must be normalised to 1.
        test = f"type({value}) is int" if type_ == "integer" else f"(type({value}) is Decimal or type({value}) is int)"
        for key, sign in (("minimum", ">="), ("maximum", "<=")):
            if key in keys:
                test += f" and {value} {sign} {self._bind(key, schema[key])}"
        if "multipleOf" in keys:
            test += f" and not {value} % {self._bind('step', Decimal(str(schema['multipleOf'])))}"
        return test

    def _library_test(self, schema: Schema, value: str) -> str:
        if schema.get("type") == "string" and all(isinstance(it, str | int) for it in schema.values()):
            texts = _text_cache(tuple(schema.items()))
            valid, validate = self._bind("valid", texts.valid), self._bind("validate", texts.validate)
            return f"({value} in {valid} or {validate}({value}))"
        valid = self._bind("valid", compile_validator({**schema, "$defs": self._definitions}).is_valid)
        if not mentions_integer([schema], self._definitions):
            return f"{valid}({value})"
        normalise = self._bind("normalise", Integers([schema], self._definitions).normalise)
        return f"({valid}({value}) and {normalise}({value}) is {value})"

    def _object(self, schema: Schema) -> list[str] | None:
        lines = self._fields(schema, "v", 0)
        return None if lines is None else [*lines, "return True"]

    def _fields(self, schema: Schema, value: str, depth: int) -> list[str] | None:
        """An object, or an `allOf` of objects as one object, so that each field is tested once.

        Nested objects are tested inline, which saves calls, up to a depth, since an object may contain itself.
        """
        collected = _collect_fields(schema, self._definitions)
        if collected is None or not (schema.keys() & {"properties", "allOf", "required"} or (depth and collected[0])):
            return None
        fields, required = collected
        lines = [f"if type({value}) is not dict:", " return False"]
        lines += [f"{value}[{name!r}]" for name in required if name not in fields]
        for name, schemas in fields.items():
            optional = [f"if {name!r} in {value}:"] if name not in required else []
            inner = self._field(f"{value}[{name!r}]", schemas, f"m{depth}", depth)
            lines += [*optional, *(f" {line}" if optional else line for line in inner)]
        return lines

    def _field(self, lookup: str, schemas: list[Schema], name: str, depth: int) -> list[str]:
        """The tests of a field. A variable holds its value only if the tests use it more than once."""
        tests: list[str] = []
        for schema in schemas:
            tests += (self._fields(schema, name, depth + 1) if depth < _INLINE_DEPTH else None) or [
                f"if not ({self._expression(schema, name)}):",
                " return False",
            ]
        if "\n".join(tests).count(name) == 1:
            return [line.replace(name, lookup) for line in tests]
        return [f"{name} = {lookup}", *tests]

    def _choice(self, schema: Schema) -> list[str] | None:
        """A `oneOf` in which each alternative requires another constant in the same field, which decides."""
        if schema.keys() - {"$defs"} != {"oneOf"}:
            return None
        name, constants = _discriminator(schema["oneOf"], self._definitions)
        if name is None:
            return [f"return {self._library_test(schema, 'v')}"]
        lines = ["if type(v) is not dict:", " return False", f"m = v[{name!r}]"]
        for constant, choice in zip(constants, schema["oneOf"], strict=True):
            lines += [f"if m == {constant!r}:", f" return {self._expression(choice, 'v')}"]
        return [*lines, "return False"]


def chosen_alternative(schema: Schema, definitions: Schema, value: Any) -> int | None:
    """The index of the `oneOf` alternative that a constant in the value chooses; None if there is none."""
    if schema.keys() - {"$defs"} != {"oneOf"} or type(value) is not dict:
        return None
    name, constants = _discriminator(schema["oneOf"], definitions)
    constant = value.get(name) if name is not None else None
    return constants.index(constant) if isinstance(constant, str) and constant in constants else None


def _discriminator(choices: list[Schema], definitions: Schema) -> tuple[str | None, list[str | None]]:
    """The field in which each alternative requires another constant, and these constants."""
    collected = [_collect_fields(choice, definitions) for choice in choices]
    for name in collected[0][0] if collected[0] else ():
        constants = [_constant(name, fields) for fields in collected]
        if None not in constants and len(set(constants)) == len(constants):
            return name, constants
    return None, []


def _name(reference: Schema) -> str:
    name: str = reference["$ref"].rsplit("/", 1)[1]
    return name


def _text(schema: Schema, keys: set[str], value: str) -> str | None:
    """A text with limits for its length."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("type") != "string" or not keys <= _LENGTHS or not isinstance(least, int):
        return None
    if most is None:
        return f"type({value}) is str" + (f" and len({value}) >= {least}" if least else "")
    return f"type({value}) is str and {least} <= len({value}) <= {most}" if isinstance(most, int) else None


def _types(schema: Schema, keys: set[str], value: str) -> str | None:
    """A schema with only a type, or with several types."""
    if keys != {"type"}:
        return None
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not all(type_ in _TYPES for type_ in types):
        return None
    return f"({' or '.join(f'type({value}) is {_TYPES[type_]}' for type_ in types)})"


Fields = tuple[dict[str, list[Schema]], dict[str, None]]  # the schemas of each field; the required fields


def _collect_fields(schema: Schema, definitions: Schema, within: tuple[str, ...] = ()) -> Fields | None:
    """The fields of an object with those of its `allOf`; None if the schema has other keywords."""
    keys = schema.keys() - {"$defs"}
    if keys == {"$ref"}:
        name = _name(schema)
        return None if name in within else _collect_fields(definitions[name], definitions, (*within, name))
    if not keys <= _OBJECT or schema.get("type", "object") != "object":
        return None
    fields: dict[str, list[Schema]] = {}
    required: dict[str, None] = {}
    for part in schema.get("allOf", ()):
        collected = _collect_fields(part, definitions, within)
        if collected is None:
            return None
        for name, schemas in collected[0].items():
            fields.setdefault(name, []).extend(schemas)
        required |= collected[1]
    for name, field in schema.get("properties", {}).items():
        if field not in fields.setdefault(name, []):
            fields[name].append(field)
    required |= dict.fromkeys(schema.get("required", ()))
    return fields, required


def _constant(name: str, collected: Fields | None) -> str | None:
    """The only text that a required field may have."""
    if collected is None or name not in collected[1]:
        return None
    constants = {field["const"] for field in collected[0].get(name, ()) if isinstance(field.get("const"), str)}
    return constants.pop() if len(constants) == 1 else None
