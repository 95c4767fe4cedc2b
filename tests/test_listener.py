"""`promo-sandbox listen`: its output, its answers, its start and its end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.testclient import TestClient

from promo_sandbox.base.sockets import listen as bind
from promo_sandbox.webhooks import listener
from promo_sandbox.webhooks.listener import MAX_BODY, CallbackPrinter, ListenerApp, StatusSequence
from tests.command import PYTHON, Invoke, environment
from tests.patience import LONG

AT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"


def client(answers: StatusSequence | None = None, *, as_json: bool = False, coloured: bool = False) -> TestClient:
    """A client of a receiver that prints to standard output."""
    printer = CallbackPrinter(as_json=as_json, coloured=coloured)
    return TestClient(ListenerApp(answers or StatusSequence(), printer.write, lambda _: None))


@contextmanager
def listening_in_a_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the first line of its output."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*PYTHON, "listen", "--port", "0", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stderr if "--json" in arguments else process.stdout
        assert said is not None  # it is a pipe
        yield process, said.readline()
    finally:
        process.kill()
        process.communicate()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


# Output


def test_a_callback_is_printed_with_its_payload_indented(capsys: pytest.CaptureFixture[str]) -> None:
    response = client().post("/hook?shop=1", content=b'{"items":[{"value":50.00,"name":"Xm\xc3\xa4s"}],"problems":[]}')

    printed = lines(capsys)
    assert response.status_code == 202
    assert re.fullmatch(rf"{AT}  POST  /hook\?shop=1  56 bytes  202", printed[0])
    assert [line.removeprefix("    ") for line in printed[1:]] == [
        "{",
        '  "items": [',
        "    {",
        '      "value": 50.00,',
        '      "name": "Xmäs"',
        "    }",
        "  ],",
        '  "problems": []',
        "}",
    ]


def test_colours_tell_names_texts_numbers_and_words_apart(capsys: pytest.CaptureFixture[str]) -> None:
    client(coloured=True).post("/", content=rb'{"a\"": "b", "c": -1.5e3, "d": [true, null]}')

    printed = "\n".join(lines(capsys))
    assert "\x1b[32m202\x1b[0m" in printed
    assert '\x1b[36m"a\\""\x1b[0m: \x1b[32m"b"\x1b[0m' in printed
    assert '\x1b[36m"c"\x1b[0m: \x1b[33m-1.5e3\x1b[0m' in printed
    assert "\x1b[35mtrue\x1b[0m" in printed
    assert "\x1b[35mnull\x1b[0m" in printed


def test_a_body_that_is_not_json_is_printed_as_text_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    client().post("/", content=b'{"items": [\nand \xff')
    client().post("/", content=b"x" * 5000)
    client().get("/")

    printed = lines(capsys)
    assert printed[1].startswith("    not shown as JSON: The body is not valid JSON")
    assert printed[2:4] == ['    {"items": [', "    and \N{REPLACEMENT CHARACTER}"]
    assert printed[-2] == "    and 904 more characters"
    assert printed[-1].endswith("GET  /  0 bytes  202")


@pytest.mark.parametrize("coloured", [False, True])
def test_nothing_that_comes_is_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str], *, coloured: bool) -> None:
    client(coloured=coloured).post("/", content='{"a": "\x9b31m\u202e"}'.encode())
    client(coloured=coloured).post("/%1b[31m", content=b"\x1b[2J\x07")

    printed = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    assert all(letter.isprintable() for letter in printed.replace("\n", ""))
    assert r'"\u009b31m\u202e"' in printed
    assert r"\u001b[2J\u0007" in printed


def test_a_delivery_of_the_sandbox_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    client().post("/hook", headers={"Sandbox-Delivery": "17"})

    [line] = lines(capsys)
    assert line.endswith("POST  /hook  0 bytes  202  delivery 17")


def test_a_line_of_json_has_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    listener = client(StatusSequence(500), as_json=True)
    listener.post("/hook?a", content=b'{"value": 50.00}', headers={"X-Word": "said"})
    listener.post("/", content=b"text\xff")
    listener.get("/")

    whole, text, empty = lines(capsys)
    said: dict[str, Any] = json.loads(whole)
    assert '"value":50.00' in whole
    assert (said["method"], said["target"], said["status"], said["body"]) == ("POST", "/hook?a", 500, {"value": 50})
    assert said["headers"]["x-word"] == "said"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["at"])
    assert (json.loads(text)["text"], "body" in json.loads(text)) == ("text\N{REPLACEMENT CHARACTER}", False)
    assert not {"text", "body"} & set(json.loads(empty))


# Answers


def test_the_first_callbacks_get_the_status_and_then_it_is_202() -> None:
    listener = client(StatusSequence(500, times=2))

    assert [listener.post("/").status_code for _ in range(4)] == [500, 500, 202, 202]


def test_without_a_number_every_callback_gets_the_status() -> None:
    listener = client(StatusSequence(503))

    assert [listener.post("/").status_code for _ in range(3)] == [503] * 3


def test_an_answer_without_body_has_no_length_either() -> None:
    assert "content-length" not in client(StatusSequence(204)).post("/").headers
    assert client().post("/").headers["content-length"] == "0"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_rejected_and_does_not_count(
    capsys: pytest.CaptureFixture[str], *, announced: bool
) -> None:
    listener = client(StatusSequence(500, times=1))
    body = bytes(MAX_BODY + 1)

    rejected = listener.post("/", content=body if announced else iter([body[:-1], body[-1:]]))

    assert (rejected.status_code, rejected.headers["connection"]) == (413, "close")
    assert lines(capsys)[0].endswith("POST  /  more than 10,485,760 bytes  413")
    assert listener.post("/", content=body[:-1]).status_code == 500


# Start and end


def test_it_prints_its_url_and_ends_quietly_when_interrupted(tmp_path: Path) -> None:
    authority, cert = trustme.CA(), tmp_path / "cert.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(cert))
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())

    with listening_in_a_process("--tls-cert", str(cert), "--status", "500", "--times", "1") as (process, said):
        said_url = re.fullmatch(
            r"listening on (https://127\.0\.0\.1:(\d+)/); start the server with "
            rf"--callback-rewrite https://shop\.example/=\1 --callback-ca {re.escape(str(cert))}\n",
            said,
        )
        assert said_url is not None
        port = int(said_url[2])
        with closing(http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=LONG)) as caller:
            statuses = []
            for _ in range(2):
                caller.request("POST", "/hook", b'{"a": 1}')
                response = caller.getresponse()
                response.read()
                statuses.append(response.status)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG)

    assert statuses == [500, 202]
    assert out.count("POST  /hook  8 bytes") == 2
    assert (process.returncode, err) == (130, "")


def test_it_ends_when_its_output_is_closed() -> None:
    with listening_in_a_process("--json") as (process, said):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        port = int(said.split(":")[2].split("/")[0])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)) as caller:
            caller.request("POST", "/", b"{}")
            status = caller.getresponse().status
        code = process.wait(LONG)

        assert (status, code, process.stderr.read()) == (202, 0, "")


def test_a_port_that_is_taken_is_reported_in_one_line(invoke: Invoke) -> None:
    with closing(bind("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert invoke("listen", "--port", str(port)) == (
            2,
            "",
            f"promo-sandbox: cannot listen on 127.0.0.1:{port}: Address already in use\n",
        )


def test_invalid_options_are_reported_in_one_line(invoke: Invoke, tmp_path: Path) -> None:
    nothing, missing = tmp_path / "nothing.pem", tmp_path / "missing.pem"
    nothing.touch()

    assert invoke("listen", "--tls-key", "key.pem")[2] == "promo-sandbox: --tls-key needs --tls-cert\n"
    assert invoke("listen", "--tls-cert", str(missing)) == (
        2,
        "",
        f"promo-sandbox: cannot read {missing}: No such file or directory\n",
    )
    assert invoke("listen", "--tls-cert", str(nothing), "--tls-key", str(nothing)) == (
        2,
        "",
        f"promo-sandbox: {nothing} and {nothing} must be a certificate and its key in PEM without a pass phrase\n",
    )
    for arguments in (("--status", "99"), ("--times", "0"), ("--delay", "-1"), ("--port", "65536")):
        code, out, err = invoke("listen", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_no_colour_goes_anywhere_but_to_a_terminal(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "listen", lambda *_: None)
    monkeypatch.setattr(listener, "CallbackPrinter", lambda *, as_json, coloured: used.append((as_json, coloured)))
    used: list[tuple[bool, bool]] = []

    invoke("listen")
    invoke("listen", "--color", "always")
    invoke("listen", "--color", "never", "--json")

    assert used == [(False, False), (False, True), (True, False)]
