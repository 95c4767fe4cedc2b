"""The JavaScript client: Node runs its tests against a real server, and its types declare what it has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from promo_sandbox import __version__
from promo_sandbox.base import config as configuration
from promo_sandbox.base.config import Config
from tests.patience import PROGRAM
from tests.serving import running

PACKAGE = Path(configuration.__file__).parents[3] / "clients" / "js"
NODE = shutil.which("node")
_METHOD = re.compile(r"^  (?:async )?(\w+)\(.*", re.MULTILINE)


@pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
def test_its_own_tests_and_its_readmes_pass_against_a_real_server(url: str, tmp_path: Path) -> None:
    [example] = re.findall(r"^```js\n(.*?)^```$", (PACKAGE / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    package = shutil.copytree(PACKAGE, tmp_path / "package")
    (package / "readme.test.mjs").write_text(example, encoding="utf-8")
    with running(Config(admin_token="closed")) as (_, closed):
        done = subprocess.run(  # noqa: S603 - our own tests
            [str(NODE), "--test", "--test-reporter=spec", "client.test.js", "readme.test.mjs"],
            cwd=package,
            env={**os.environ, "SANDBOX_URL": url, "SANDBOX_CLOSED_URL": closed},
            capture_output=True,
            text=True,
            timeout=PROGRAM,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\S skipped 0$", done.stdout, re.MULTILINE), done.stdout


def test_it_is_of_the_servers_version() -> None:
    assert f"export const VERSION = '{__version__}';" in (PACKAGE / "index.js").read_text(encoding="utf-8")


def test_the_types_declare_exactly_the_methods_of_the_classes() -> None:
    code = (PACKAGE / "index.js").read_text(encoding="utf-8")
    types = (PACKAGE / "index.d.ts").read_text(encoding="utf-8")
    classes = dict(re.findall(r"^(?:export )?class (\w+)[^\n]*\{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL))
    declared = dict(re.findall(r"^export (?:class|interface) (\w+)[^\n]*\{\n(.*?)^\}", types, re.MULTILINE | re.DOTALL))

    assert set(classes) == {"SandboxError", "Sandbox", "Org", "Clock", "Snapshots", "Webhooks"}
    for name, body in classes.items():
        methods = set(_METHOD.findall(body)) - {"constructor"}
        assert methods == set(re.findall(r"^  (\w+)\(", declared[name], re.MULTILINE)) - {"constructor"}, name
