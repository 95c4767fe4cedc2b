"""Text of a client cannot control a terminal or a log."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promo_sandbox.base.messages import Request
from promo_sandbox.base.printable import EscapingFormatter, escaped
from promo_sandbox.cli.tail import Event
from promo_sandbox.cli.tail import Printer as TailPrinter
from promo_sandbox.client import Sandbox
from promo_sandbox.pytest_plugin.leftovers import failure_message, request_table
from promo_sandbox.reports.results import FAILED, Failure, Result, Results, curl
from promo_sandbox.reports.results_writer import FORMS as RESULT_FORMS
from promo_sandbox.reports.results_writer import write
from promo_sandbox.testing import app
from promo_sandbox.testing import running as sandboxed
from promo_sandbox.webhooks.listener import CallbackPrinter, ReceivedCallback
from tests.command import Invoke, serving

FORMS = ("text", "json", "junit", "markdown", "html")

NASTY = "\x1b[2J\x07\x7f\x9b31m\u202e\u2066\u200f\u2028\u2029\x85\U000e0041"
URL_ENCODED = "".join(f"%{byte:02X}" for byte in NASTY.encode())


def is_fit(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


@given(st.text())
def test_escaped_text_is_printable_and_the_same_in_json(text: str) -> None:
    written = escaped(json.dumps(text, ensure_ascii=False))

    assert written.isprintable()
    assert json.loads(written) == text
    assert escaped(written) == written


@pytest.mark.parametrize("text", ["", "Größe 12 €, 価格", "a\\b", "👍"])
def test_printable_text_is_unchanged(text: str) -> None:
    assert escaped(text) is text


def test_a_surrogate_is_escaped_too() -> None:
    assert escaped("\ud800\U000e0041") == "\\ud800\\udb40\\udc41"


def test_a_record_with_a_traceback_is_escaped_but_for_its_lines() -> None:
    error = ValueError(NASTY)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "at %s\nforged", (NASTY,), (ValueError, error, None))

    written = EscapingFormatter().format(record)

    assert is_fit(written)
    assert written.startswith("at \\u001b[2J")
    assert "\\u000aforged\nValueError" in written


# The commands


@pytest.fixture(scope="module")
def asked() -> Iterator[str]:
    """A server with an org of a nasty name, which was asked nasty things."""
    with sandboxed() as sandbox:
        with httpx2.Client(base_url=sandbox.url) as client:
            client.post(f"/~{URL_ENCODED}/promotions/org/x", content=NASTY.encode())
            client.get("/promotions/org/x/y", headers={b"Sandbox-Org": NASTY[:4].encode() + b"\x9b"})
        sandbox.org(NASTY).seed(
            enfore={"gift_cards": [{"name": NASTY, "current_balance": {"unit": "EUR", "value": 1}}]}
        )
        yield sandbox.url


def test_what_commands_print_of_an_org_is_fit_and_json_stays_the_same(asked: str, invoke: Invoke) -> None:
    exported = invoke("export", NASTY, "--url", asked)
    forms = [invoke("coverage", "--org", NASTY, "--format", form, "--url", asked) for form in FORMS]
    rejected = invoke("export", f"{NASTY} and more", "--url", asked)
    unknown = invoke("coverage", "--vendor", NASTY, "--url", asked)

    assert json.loads(exported[1])["org"]["name"] == NASTY
    assert json.loads(forms[FORMS.index("json")][1])["org"] == NASTY
    for code, out, said in (exported, *forms, rejected, unknown):
        assert (code, bool(out)) in ((0, True), (2, False))
        assert is_fit(out)
        assert is_fit(said)


def test_what_is_imported_is_named_fit_to_print(asked: str, invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    invoke("export", NASTY, "--out", str(file), "--url", asked)

    code, out, _ = invoke("import", str(file), "--url", asked)

    assert (code, out) == (0, f"imported {escaped(NASTY)}\n")


def test_what_a_test_has_left_is_fit_to_print(asked: str) -> None:
    org = Sandbox(asked).org(NASTY)

    said = failure_message(org, {})

    assert "matched no operation" in said
    assert is_fit(said)
    assert is_fit(request_table(org))
    assert is_fit(request_table(Sandbox(asked).org(f"{NASTY}, of which there is none")))


def test_an_exchange_in_json_is_fit_to_print_and_says_the_same(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    [exchange, *_] = Sandbox(asked).org(NASTY).requests()

    TailPrinter(as_json=True, coloured=False).write(Event("exchange", json.dumps(exchange, ensure_ascii=False)))

    line = capsys.readouterr().out
    assert is_fit(line)
    assert json.loads(line) == exchange


def test_a_callback_in_json_is_fit_to_print_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"a": NASTY}, ensure_ascii=False).encode()
    callback = ReceivedCallback("2030-01-01T00:00:00.000Z", "POST", "/\x9b", {"x": NASTY}, body, 202)

    for as_json in (True, False):
        CallbackPrinter(as_json=as_json, coloured=False).write(callback)
        CallbackPrinter(as_json=as_json, coloured=False).write(callback._replace(body=NASTY.encode()))

    whole, text, *lines = capsys.readouterr().out.splitlines(keepends=True)
    assert all(map(is_fit, (whole, text, *lines)))
    assert (json.loads(whole)["body"], json.loads(whole)["headers"]) == ({"a": NASTY}, {"x": NASTY})
    assert json.loads(text)["text"] == NASTY


@pytest.mark.parametrize("form", RESULT_FORMS)
def test_what_a_contract_test_found_is_fit_to_print(form: str) -> None:
    failure = Failure(NASTY, f"one\n{NASTY}", curl("POST", "http://x/", {"X-A": NASTY}, NASTY.encode()))

    written = write(form, Results(NASTY, [Result(NASTY, NASTY, NASTY, FAILED, NASTY, (failure,))], 1.0, NASTY))

    assert is_fit(written)


@pytest.mark.skipif(shutil.which("bash") is None, reason="reads the command")
def test_a_command_with_what_is_not_printable_means_the_same_to_bash() -> None:
    text = NASTY.replace("\x85", "") + "'\\ ü"

    command = curl("POST", "http://x/", {}, text.encode())

    assert is_fit(command)
    script = command.replace("curl", "printf '%s\\0'", 1)
    done = subprocess.run(["bash", "-c", script], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=True)  # noqa: S603, S607 - our own script
    assert done.stdout.decode().split("\0")[-2] == text


# The log


def test_what_is_left_at_the_end_is_logged_fit_to_print() -> None:
    subscription = {"event": "gift-card-changed", "callback_url": "https://localhost:1/"}
    card = {"name": "x", "current_balance": {"unit": "EUR", "value": 1}}
    with serving() as served:
        org = Sandbox(served.url).org(NASTY)
        org.seed(enfore={"subscriptions": [subscription]})
        org.seed(enfore={"gift_cards": [card]})
        _, said = served.stop()

    assert said == f"{escaped(NASTY)}: 1 deliveries to https://localhost:1/ were left\n"


def test_a_failure_of_the_server_is_logged_fit_to_print(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = app()
    monkeypatch.setattr(server.admin, "handle", None)

    reply = server.handle(Request(NASTY, f"/__admin/{NASTY}", []))

    assert reply.status == 500
    assert is_fit(caplog.records[0].getMessage())
