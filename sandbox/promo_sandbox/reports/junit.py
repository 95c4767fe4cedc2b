"""Writes coverage and conformance results as JUnit XML, valid by the schemas of Ant and Jenkins.

Coverage: a suite for each vendor, a case for each status, rejection and callback. A case that is not covered is
skipped, not failed; `--fail-under` decides. Schemas: windyroad/JUnit-Schema, junit-10.xsd.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from promo_sandbox.base import clock
from promo_sandbox.reports.figures import Json
from promo_sandbox.reports.results import FAILED, SKIPPED, Result, Results

_SECONDS = len("2030-01-01T00:00:00")
_NOT_IN_XML = dict.fromkeys(
    {*range(32), 0xFFFE, 0xFFFF} - {9, 10}, "\N{REPLACEMENT CHARACTER}"
)  # tabs and newlines may
Case = tuple[str, str, int, str]  # class, name, count, the message if the count is 0


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


def write_results(report: Results) -> str:
    """Conformance results: a suite for each group."""
    suites = ET.Element("testsuites")
    for group, results in report.groups().items():
        counts = Counter(result.outcome for result in results)
        suite = _suite(
            suites,
            _written(group),
            "contract",
            tests=len(results),
            skipped=counts[SKIPPED],
            failures=counts[FAILED],
            seconds=sum(result.seconds for result in results),
        )
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="title", value=_written(report.title))
        if report.ended:
            ET.SubElement(properties, "property", name="ended", value=_written(report.ended))
        for result in results:
            _result(suite, result)
        _end(suite)
    return _document(suites)


def _result(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_written(result.group),
        name=_written(result.name),
        time=f"{result.seconds:.3f}",
    )
    if result.outcome == SKIPPED:
        ET.SubElement(case, "skipped", message=_written(result.note))
    elif result.failures:  # one element, since the schemas allow no more
        title = "; ".join(failure.title for failure in result.failures)
        failed = ET.SubElement(case, "failure", type="contract", message=_written(title))
        texts = (f"{it.title}\n{it.message}\n{it.request}".rstrip() for it in result.failures)
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
            yield place, f"status {status['status']}", status["count"], "no client ever got this status"
        for item in operation["rejections"]:
            reason = f"no client ever got this {item['status']}: {item['summary']} ({item['source']})"
            yield place, f"rejection {item['rejection']}", item["count"], reason
    for callback in vendor["callbacks"]:
        yield f"{vendor['vendor']}.callbacks", callback["callback"], callback["count"], "never sent to a subscriber"


def _written(text: str) -> str:
    return text.translate(_NOT_IN_XML)
