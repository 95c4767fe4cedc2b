"""The results of a conformance run, as values: what `verify` and `parity` found for each operation or case.

How they are written is in `results_writer`, `results_page` and `junit`.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from promo_sandbox.base.masking import Masks

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
NOT_ASKED = "not asked for"  # the note of operations that --operation excludes; a text only counts them
NEVER = "never a success"
_MAX_MESSAGE = 2000  # characters of a failure
_ASCII = 128
_COMMON = Masks()
_MAX_BODY = 2000  # characters of a request's body


class Failure(NamedTuple):
    """One way in which the server broke the contract."""

    title: str
    message: str
    request: str = ""  # a shell command
    times: int = 1


class Result(NamedTuple):
    """The result for one operation or case."""

    group: str  # its spec or vendor
    name: str
    place: str  # method and path
    outcome: str
    note: str = ""  # how it was tested, or why it was skipped
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    succeeded: bool = True  # False if it passed although every reply was an error


class Results(NamedTuple):
    """The results of a run. `ended` is the reason if it ended early."""

    title: str
    results: list[Result]
    seconds: float
    ended: str = ""

    @property
    def failed(self) -> bool:
        return any(result.outcome == FAILED for result in self.results)

    @property
    def tried(self) -> bool:
        """Whether anything was tested."""
        return any(result.outcome != SKIPPED for result in self.results)

    def groups(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.group, []).append(result)
        return found

    def summary(self) -> str:
        """`40 passed (3 never a success), 2 failed, 7 skipped (5 not asked for), in 12.3 s`."""
        counts = Counter(result.outcome for result in self.results)
        asides = {
            PASSED: (NEVER, sum(1 for result in self.results if not result.succeeded)),
            SKIPPED: (NOT_ASKED, sum(1 for result in self.results if result.note == NOT_ASKED)),
        }
        parts = ", ".join(
            f"{counts[outcome]} {outcome}{_aside(*asides.get(outcome, ('', 0)))}"
            for outcome in (PASSED, FAILED, SKIPPED)
        )
        early = f"; ended early: {self.ended}" if self.ended else ""
        return f"{parts}, in {self.seconds:.1f} s{early}"


def _aside(text: str, count: int) -> str:
    return f" ({count} {text})" if count else ""


def curl(method: str, url: str, headers: Mapping[str, str], body: bytes | None, masks: Masks = _COMMON) -> str:
    """A request as a shell command. Secrets become variables, such as `$AUTHORIZATION`."""
    parts = ["curl -i", "" if method == "GET" and body is None else f"-X {method}", _quoted(masks.mask_message(url))]
    for name, value in headers.items():
        shown = f"{name}: {value}"
        secret = masks.is_secret_header(name)
        parts.append(f'-H "{name}: ${name.upper().replace("-", "_")}"' if secret else f"-H {_quoted(shown)}")
    if body:
        text = masks.mask_message(body.decode("utf-8", "replace"))
        cut = f"{text[:_MAX_BODY]}…" if len(text) > _MAX_BODY else text
        parts.append(f"--data-raw {_quoted(cut)}")
    return " ".join(filter(None, parts))


def _quoted(text: str) -> str:
    """Quote a word for bash. Characters that are not printable become escapes."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_in_dollar_quotes, text))}'"


def _in_dollar_quotes(letter: str) -> str:
    if letter in "'\\" or not letter.isprintable():
        code = ord(letter)
        return f"\\x{code:02x}" if code < _ASCII else f"\\U{code:08x}"
    return letter


def shortened(text: str) -> str:
    """The text, cut off after 2000 characters."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"
