"""The options about callbacks: what they become, and one clear line for each that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
import trustme
from click.testing import CliRunner

from promo_sandbox.base.callback_policy import NotAllowed, Rewrite
from promo_sandbox.base.config import CallbackConfig, Config
from promo_sandbox.cli.callback_options import callback_options
from tests.command import Invoke

RECEIVER = "http://127.0.0.1:9000/"


def collected(*arguments: str, **variables: str) -> CallbackConfig:
    """What a command with these options is given."""
    given: list[CallbackConfig] = []

    @click.command()
    @callback_options
    def command(*, callbacks: CallbackConfig) -> None:
        given.append(callbacks)

    CliRunner().invoke(command, arguments, env=variables, catch_exceptions=False)
    return given[0]


def test_without_options_only_loopback_is_called_and_repeated_as_the_vendor_does() -> None:
    callbacks = collected()

    assert (callbacks.ca, callbacks.timeout, callbacks.attempts, callbacks.longest_retry) == (None, 5, 0, 3600)
    assert callbacks.policy.target("https://localhost/").url == "https://localhost/"
    assert not callbacks.policy.allows_http("http://localhost/")
    with pytest.raises(NotAllowed):
        callbacks.policy.target("https://shop.example/")
    assert Config().callbacks.timeout == 5


def test_options_may_be_repeated(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(trustme.CA().cert_pem.bytes())
    rewrites = ("https://a.example/", "http://10.0.0.1/"), ("https://b.example/x", "http://10.0.0.2/")

    callbacks = collected(
        *(text for source, target in rewrites for text in ("--callback-rewrite", f"{source}={target}")),
        *("--callback-allow", "shop.example", "--callback-allow", "*.example.com:8443"),
        *("--callback-ca", str(ca), "--allow-http-callbacks"),
        *("--callback-timeout", "0.5", "--callback-attempts", "3", "--callback-longest-retry", "60"),
    )

    assert callbacks.policy.rewrites == tuple(Rewrite(*rewrite) for rewrite in rewrites)
    assert callbacks.policy.target("https://b.example/x/y").url == "http://10.0.0.2/y"
    assert callbacks.policy.target("https://a.example.com:8443/").host == "a.example.com"
    assert callbacks.policy.target("https://shop.example/").host == "shop.example"
    assert callbacks.policy.allows_http("http://localhost/")
    assert (callbacks.ca, callbacks.timeout, callbacks.attempts, callbacks.longest_retry) == (ca, 0.5, 3, 60)


def test_variables_take_several_separated_by_spaces() -> None:
    callbacks = collected(
        SANDBOX_CALLBACK_REWRITE=f"https://a.example/={RECEIVER}  https://b.example/={RECEIVER}",
        SANDBOX_CALLBACK_ALLOW="shop.example 10.0.0.0/8",
        SANDBOX_ALLOW_HTTP_CALLBACKS="1",
        SANDBOX_CALLBACK_TIMEOUT="2",
    )

    assert [rewrite.source for rewrite in callbacks.policy.rewrites] == ["https://a.example/", "https://b.example/"]
    assert callbacks.policy.target("http://10.1.2.3/").url == "http://10.1.2.3/"
    assert callbacks.policy.allow_http
    assert callbacks.timeout == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--callback-rewrite", "https://shop.example/"),
            "--callback-rewrite: 'https://shop.example/' is not FROM=TO, such as https://shop.example/=" + RECEIVER,
        ),
        (
            ("--callback-rewrite", "https://a b/=http://localhost/"),
            "--callback-rewrite: 'https://a b/' is not a URL: it has a space, a backslash or a control character",
        ),
        (
            ("--callback-allow", "https://shop.example/"),
            "--callback-allow: 'https://shop.example/' is a URL; write only its host",
        ),
        (("--callback-allow", "*"), "--callback-allow: '*' is not a host name"),
        (
            ("--callback-timeout", "nan"),
            "Invalid value for '--callback-timeout': it must be above 0 and at most one year.",
        ),
        (
            ("--callback-timeout", "0"),
            "Invalid value for '--callback-timeout': it must be above 0 and at most one year.",
        ),
        (
            ("--callback-longest-retry", "inf"),
            "Invalid value for '--callback-longest-retry': it must be above 0 and at most one year.",
        ),
        (("--callback-attempts", "-1"), "Invalid value for '--callback-attempts': -1 is not in the range x>=0."),
    ],
)
def test_what_cannot_be_is_reported_in_one_line(invoke: Invoke, arguments: tuple[str, ...], said: str) -> None:
    assert invoke("serve", *arguments) == (2, "", f"promo-sandbox: {said}\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda path: path.write_text("nothing", encoding="utf-8"),
            "--callback-ca {} is not a PEM file with a certificate",
        ),
        (lambda path: path.touch(), "--callback-ca {} is not a PEM file with a certificate"),
        (lambda path: path.mkdir(), "cannot read --callback-ca {}: Is a directory"),
        (lambda _: None, "cannot read --callback-ca {}: No such file or directory"),
    ],
)
def test_a_file_without_certificates_is_reported_in_one_line(
    invoke: Invoke, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "ca.pem"
    make(path)

    assert invoke("serve", "--callback-ca", str(path)) == (2, "", f"promo-sandbox: {said.format(path)}\n")
