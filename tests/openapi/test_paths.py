"""The operation of a method and a path."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.openapi.paths import Match, Router


def router(*routes: str) -> Router[str]:
    """A router whose targets are the routes themselves, each `METHOD /template`."""
    tree: Router[str] = Router()
    for route in routes:
        method, template = route.split(" ")
        tree.add(method, template, route)
    return tree


def test_a_literal_segment_goes_before_a_templated_one() -> None:
    tree = router("GET /cards/{id}", "GET /cards/subscriptions")

    assert tree.match("GET", "/cards/subscriptions") == Match("GET /cards/subscriptions", (), ())
    assert tree.match("GET", "/cards/7") == Match("GET /cards/{id}", ("7",), ())


def test_literals_go_first_for_each_method_by_itself() -> None:
    tree = router("GET /cards/{id}", "PUT /cards/{id}", "POST /cards/subscriptions")

    assert tree.match("GET", "/cards/subscriptions") == Match("GET /cards/{id}", ("subscriptions",), ())
    assert tree.match("POST", "/cards/subscriptions") == Match("POST /cards/subscriptions", (), ())
    assert tree.match("DELETE", "/cards/subscriptions") == Match(None, (), ("GET", "HEAD", "POST", "PUT"))


def test_a_literal_that_leads_nowhere_gives_way() -> None:
    tree = router("GET /public/customer", "POST /{tenant}/redeem", "GET /{tenant}/{id}/{part}")

    assert tree.match("POST", "/public/redeem") == Match("POST /{tenant}/redeem", ("public",), ())
    assert tree.match("GET", "/public/customer/x") == Match(
        "GET /{tenant}/{id}/{part}", ("public", "customer", "x"), ()
    )


def test_a_path_that_only_other_methods_have_lists_all_of_them_in_order() -> None:
    tree = router("PUT /a/{x}", "GET /a/{x}", "DELETE /a/b", "POST /{y}/b")

    assert tree.match("PATCH", "/a/b") == Match(None, (), ("DELETE", "GET", "HEAD", "POST", "PUT"))


@pytest.mark.parametrize("path", ["/", "", "/a", "/a/", "/a//b", "//a/b", "/a/b/", "/a/b/c", "/A/b", "a/b", "*"])
def test_a_path_of_another_shape_is_none(path: str) -> None:
    assert router("GET /a/b", "GET /{x}/{y}/d").match("GET", path) is None


def test_an_empty_segment_is_no_value() -> None:
    tree = router("GET /a/{x}", "GET /{x}/c")

    assert tree.match("GET", "/a/") is None
    assert tree.match("GET", "//c") is None


def test_a_percent_encoded_slash_stays_in_its_segment() -> None:
    assert router("GET /a/{x}").match("GET", "/a/b%2Fc") == Match("GET /a/{x}", ("b%2Fc",), ())


def test_templates_of_one_shape_may_name_their_segments_differently() -> None:
    tree = router("GET /a/{x}/c", "PUT /a/{y}/c")

    assert tree.match("PUT", "/a/b/c") == Match("PUT /a/{y}/c", ("b",), ())


def test_one_method_cannot_have_a_template_twice() -> None:
    with pytest.raises(ValueError, match=r"GET /a/\{y\} occurs twice"):
        router("GET /a/{x}", "GET /a/{y}")


_SEGMENTS = st.lists(st.sampled_from(["a", "b", "{x}"]), min_size=1, max_size=4)
_ROUTES = st.lists(st.tuples(st.sampled_from(["GET", "PUT", "POST"]), _SEGMENTS), max_size=12)
_PATHS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4)


def _shape(segments: list[str]) -> tuple[bool, ...]:
    return tuple(segment == "{x}" for segment in segments)


def _naive(routes: dict[tuple[str, str], list[str]], method: str, path: list[str]) -> Match[str] | None:
    """Of all templates that fit, the one whose literals come first."""
    fitting = [
        (of, template, segments)
        for (of, template), segments in routes.items()
        if len(segments) == len(path)
        and all(mine == theirs or (theirs == "{x}" and mine) for mine, theirs in zip(path, segments, strict=True))
    ]
    mine = sorted((_shape(segments), template, segments) for of, template, segments in fitting if of == method)
    if mine:
        _, template, segments = mine[0]
        values = tuple(at for at, segment in zip(path, segments, strict=True) if segment == "{x}")
        return Match(f"{method} {template}", values, ())
    methods = {of for of, _, _ in fitting}
    return Match(None, (), tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))) if fitting else None


@settings(deadline=None)
@given(_ROUTES, st.sampled_from(["GET", "PUT", "DELETE"]), _PATHS)
def test_the_tree_finds_what_looking_at_every_template_finds(
    routes: list[tuple[str, list[str]]], method: str, path: list[str]
) -> None:
    templates = {(of, f"/{'/'.join(segments)}"): segments for of, segments in routes}
    tree = router(*(f"{of} {template}" for of, template in templates))

    assert tree.match(method, f"/{'/'.join(path)}") == _naive(templates, method, path)
