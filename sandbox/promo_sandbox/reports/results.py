"""What a contract test found, operation by operation or case by case, and how that is written as text.

JUnit and HTML have modules of their own, imported when they are wanted.
"""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from promo_sandbox.base.masking import Masks
from promo_sandbox.base.printable import escaped

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
NOT_ASKED = "not asked for"  # the note of what --operation leaves out, which is counted and not listed in a text
NEVER = "never a success"
FORMS = ("text", "junit", "html")
_WIDTH = 110
_INDENT = " " * 8
_MAX_MESSAGE = 2000  # characters of what a failure says
_ASCII = 128
_COMMON = Masks()
_MAX_BODY = 2000  # characters of a request's body


class Failure(NamedTuple):
    """One way in which the server is not what the contract says."""

    title: str
    message: str
    request: str = ""  # as a command for a shell
    times: int = 1


class Verdict(NamedTuple):
    """What became of an operation or a case."""

    group: str  # the spec or the vendor it belongs to
    name: str
    place: str  # method and path
    outcome: str
    note: str = ""  # how it was tried, or why it was not
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    succeeded: bool = True  # False where it passed by being refused each time


class Verdicts(NamedTuple):
    """A whole run; `ended` says why it ended early, if it did."""

    title: str
    verdicts: list[Verdict]
    seconds: float
    ended: str = ""

    @property
    def failed(self) -> bool:
        return any(verdict.outcome == FAILED for verdict in self.verdicts)

    @property
    def tried(self) -> bool:
        """Whether anything was found out at all."""
        return any(verdict.outcome != SKIPPED for verdict in self.verdicts)

    def groups(self) -> dict[str, list[Verdict]]:
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict.group, []).append(verdict)
        return found

    def summary(self) -> str:
        """`40 passed (3 never a success), 2 failed, 7 skipped (5 not asked for), in 12.3 s`."""
        counts = Counter(verdict.outcome for verdict in self.verdicts)
        asides = {
            PASSED: (NEVER, sum(1 for verdict in self.verdicts if not verdict.succeeded)),
            SKIPPED: (NOT_ASKED, sum(1 for verdict in self.verdicts if verdict.note == NOT_ASKED)),
        }
        parts = ", ".join(
            f"{counts[outcome]} {outcome}{_aside(*asides.get(outcome, ('', 0)))}"
            for outcome in (PASSED, FAILED, SKIPPED)
        )
        early = f"; ended early: {self.ended}" if self.ended else ""
        return f"{parts}, in {self.seconds:.1f} s{early}"


def _aside(text: str, count: int) -> str:
    return f" ({count} {text})" if count else ""


def write(form: str, report: Verdicts) -> str:
    """The report, which ends with a newline."""
    return escaped(_written(form, report), keep="\n")


def _written(form: str, report: Verdicts) -> str:
    match form:
        case "junit":
            from promo_sandbox.reports import junit  # noqa: PLC0415 - an XML library that the other forms can do without

            return junit.write_verdicts(report)
        case "html":
            from promo_sandbox.reports import verdicts_page  # noqa: PLC0415 - the same for HTML

            return verdicts_page.write(report)
    return "\n".join([*_lines(report), ""])


def _lines(report: Verdicts) -> Iterator[str]:
    yield report.title
    listed = [verdict for verdict in report.verdicts if verdict.note != NOT_ASKED]
    for group, verdicts in report._replace(verdicts=listed).groups().items():
        yield f"\n{group}"
        width = max(len(verdict.name) for verdict in verdicts)
        for verdict in verdicts:
            outcome = verdict.outcome.upper() if verdict.outcome == FAILED else verdict.outcome
            yield f"{outcome:7} {verdict.name:{width}}  {verdict.note or verdict.place}".rstrip()
            for failure in verdict.failures:
                yield from _failure(failure)
    yield f"\n{report.summary()}"


def _failure(failure: Failure) -> Iterator[str]:
    times = f" ({failure.times} times)" if failure.times > 1 else ""
    yield f"{_INDENT}{failure.title}{times}"
    for line in failure.message.splitlines():
        yield from textwrap.wrap(
            line, _WIDTH, initial_indent=f"{_INDENT}  ", subsequent_indent=f"{_INDENT}  ", break_on_hyphens=False
        )
    if failure.request:
        yield f"{_INDENT}  {failure.request}"


def curl(method: str, url: str, headers: Mapping[str, str], body: bytes | None, masks: Masks = _COMMON) -> str:
    """A request as a command. Secrets are not written down: Authorization's is `$AUTHORIZATION`."""
    parts = ["curl -i", "" if method == "GET" and body is None else f"-X {method}", _quoted(masks.sent(url))]
    for name, value in headers.items():
        shown = f"{name}: {value}"
        secret = masks.hides_header(name)
        parts.append(f'-H "{name}: ${name.upper().replace("-", "_")}"' if secret else f"-H {_quoted(shown)}")
    if body:
        text = masks.sent(body.decode("utf-8", "replace"))
        cut = f"{text[:_MAX_BODY]}…" if len(text) > _MAX_BODY else text
        parts.append(f"--data-raw {_quoted(cut)}")
    return " ".join(filter(None, parts))


def _quoted(text: str) -> str:
    """A word of a command; bash reads the escapes of what is not printable."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_in_dollar_quotes, text))}'"


def _in_dollar_quotes(letter: str) -> str:
    if letter in "'\\" or not letter.isprintable():
        code = ord(letter)
        return f"\\x{code:02x}" if code < _ASCII else f"\\U{code:08x}"
    return letter


def shortened(text: str) -> str:
    """What a failure may say at most."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"
