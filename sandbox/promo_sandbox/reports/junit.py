"""Coverage as JUnit XML, a suite for each vendor, in it a case for everything there is to meet; and what was judged.

What was never met is a skipped case, not a failed one: whether it is too much is for `--fail-under` to say. Valid by
the schemas of Ant (windyroad/JUnit-Schema) and Jenkins (junit-10.xsd), so it also says what coverage does not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from promo_sandbox.base import clock
from promo_sandbox.reports.figures import Json
from promo_sandbox.reports.verdicts import FAILED, SKIPPED, Verdict, Verdicts

_SECONDS = len("2030-01-01T00:00:00")
_NOT_IN_XML = dict.fromkeys(
    {*range(32), 0xFFFE, 0xFFFF} - {9, 10}, "\N{REPLACEMENT CHARACTER}"
)  # tabs and newlines may
Case = tuple[str, str, int, str]  # class, name, how often it was met, what to say if never


def write(report: Json) -> str:
    suites = ET.Element("testsuites")
    for vendor in report["vendors"]:
        cases = list(_cases(vendor))
        skipped = sum(not count for _, _, count, _ in cases)
        suite = _suite(suites, vendor["vendor"], "coverage", tests=len(cases), skipped=skipped)
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="org", value=_written(report["org"] or ""))
        for place, name, count, reason in cases:
            case = ET.SubElement(suite, "testcase", classname=place, name=name, time="0")
            if not count:
                ET.SubElement(case, "skipped", message=_written(reason))
        _end(suite)
    return _document(suites)


def write_verdicts(report: Verdicts) -> str:
    """What a contract test found: a suite for each group."""
    suites = ET.Element("testsuites")
    for group, verdicts in report.groups().items():
        counts = Counter(verdict.outcome for verdict in verdicts)
        suite = _suite(
            suites,
            _written(group),
            "contract",
            tests=len(verdicts),
            skipped=counts[SKIPPED],
            failures=counts[FAILED],
            seconds=sum(verdict.seconds for verdict in verdicts),
        )
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="title", value=_written(report.title))
        if report.ended:
            ET.SubElement(properties, "property", name="ended", value=_written(report.ended))
        for verdict in verdicts:
            _verdict(suite, verdict)
        _end(suite)
    return _document(suites)


def _verdict(suite: ET.Element, verdict: Verdict) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_written(verdict.group),
        name=_written(verdict.name),
        time=f"{verdict.seconds:.3f}",
    )
    if verdict.outcome == SKIPPED:
        ET.SubElement(case, "skipped", message=_written(verdict.note))
    elif verdict.failures:  # one element, since the schemas allow no more
        title = "; ".join(failure.title for failure in verdict.failures)
        failed = ET.SubElement(case, "failure", type="contract", message=_written(title))
        texts = (f"{it.title}\n{it.message}\n{it.request}".rstrip() for it in verdict.failures)
        failed.text = _written("\n\n".join(texts))


def _suite(
    suites: ET.Element, name: str, package: str, *, tests: int, skipped: int, failures: int = 0, seconds: float = 0.0
) -> ET.Element:
    return ET.SubElement(
        suites,
        "testsuite",
        name=name,
        package=package,
        id=str(len(suites)),
        timestamp=clock.text(clock.Clock().now())[:_SECONDS],
        hostname="localhost",
        tests=str(tests),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
        time=f"{seconds:.3f}" if seconds else "0",
    )


def _end(suite: ET.Element) -> None:
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")


def _document(suites: ET.Element) -> str:
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _cases(vendor: Json) -> Iterator[Case]:
    for operation in vendor["operations"]:
        place = f"{vendor['vendor']}.{operation['operation']}"
        yield place, "called", operation["count"], f"never called: {operation['summary']}"
        for status in operation["statuses"]:
            yield place, f"status {status['status']}", status["count"], "no client ever met this status"
        for item in operation["rejections"]:
            reason = f"no client ever met this {item['status']}: {item['summary']} ({item['source']})"
            yield place, f"rejection {item['rejection']}", item["count"], reason
    for callback in vendor["callbacks"]:
        yield f"{vendor['vendor']}.callbacks", callback["callback"], callback["count"], "never told to any subscriber"


def _written(text: str) -> str:
    return text.translate(_NOT_IN_XML)
