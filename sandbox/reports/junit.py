"""Coverage as JUnit XML: a suite for each vendor, in it a case for everything there is to meet.

What was never met is a skipped case, not a failed one: whether it is too much is for `--fail-under` to say. Valid by
the schemas of Ant (windyroad/JUnit-Schema) and Jenkins (junit-10.xsd), so it also says what coverage does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from sandbox import clock
from sandbox.reports.figures import Json

_SECONDS = len("2030-01-01T00:00:00")
_NOT_IN_XML = dict.fromkeys((*range(32), 0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")
Case = tuple[str, str, int, str]  # class, name, how often it was met, what to say if never


def write(report: Json) -> str:
    suites = ET.Element("testsuites")
    moment = clock.text(clock.Clock().now())[:_SECONDS]
    for number, vendor in enumerate(report["vendors"]):
        cases = list(_cases(vendor))
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=vendor["vendor"],
            package="coverage",
            id=str(number),
            timestamp=moment,
            hostname="localhost",
            tests=str(len(cases)),
            failures="0",
            errors="0",
            skipped=str(sum(not count for _, _, count, _ in cases)),
            time="0",
        )
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="org", value=_written(report["org"] or ""))
        for place, name, count, reason in cases:
            case = ET.SubElement(suite, "testcase", classname=place, name=name, time="0")
            if not count:
                ET.SubElement(case, "skipped", message=_written(reason))
        ET.SubElement(suite, "system-out")
        ET.SubElement(suite, "system-err")
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
