"""What the operator can set, and where specs and rules are found. Reads files; serves nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promo_sandbox.base import yaml_file
from promo_sandbox.base.callback_policy import Policy
from promo_sandbox.base.errors import DocumentError, SandboxError

MEBIBYTE = 1_048_576
_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parents[1]


@dataclass(frozen=True, slots=True)
class CallbackConfig:
    """Where and how callbacks are delivered; times in seconds."""

    policy: Policy = field(default_factory=Policy)
    ca: Path | None = None  # PEM certificates that are trusted besides the system's
    timeout: float = 5.0  # of an attempt
    attempts: int = 0  # at each delivery; 0: until its subscription is deleted
    longest_retry: float = 3600.0  # the pause between attempts doubles until it is this long


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a server; sizes in bytes, times in seconds."""

    strict: bool = False  # only tokens issued here, only the clients below
    clients: dict[str, str] = field(default_factory=dict)  # name -> secret
    signing_key: str | None = None  # of tokens; None: a new one in strict mode, else one that everybody knows
    seeds: dict[str, dict[str, Any]] = field(default_factory=dict)  # org -> {vendor: {collection: [object]}}
    settings: tuple[tuple[str, str], ...] = ()  # `vendor.member` or `vendor.member.member`, and its default as text
    admin_token: str | None = None
    admin_hosts: tuple[str, ...] = ()  # names by which the admin API is reached, besides addresses and local names
    max_body: int = MEBIBYTE
    max_orgs: int = 100_000
    max_memory: int | None = None  # None: three quarters of what the machine or the control group has
    journal_limit: int = 1000  # entries an org
    journal_bytes: int = 16 * MEBIBYTE  # all orgs together
    request_timeout: float = 30.0  # for a request to be complete
    specs: Path | None = None
    scenarios: Path | None = None  # a folder of scenarios besides the bundled ones
    callbacks: CallbackConfig = field(default_factory=CallbackConfig)


def data_folder(name: str) -> Path:
    """The folder `specs`, `scenarios` or `parity`: inside an installed package, or beside it in a checkout."""
    for folder in (_PACKAGE / "_files" / name, _CHECKOUT / name, _CHECKOUT / "tests" / name):
        if folder.is_dir():
            return folder
    raise SandboxError(f"the folder {name} is missing from this installation")


def read_seeds(path: Path) -> dict[str, Any]:
    """A seed file: `{org: {vendor: {collection: [object]}}}` in YAML or JSON."""
    seeds = yaml_file.read(path)
    if not isinstance(seeds, dict) or not all(isinstance(seed, dict) for seed in seeds.values()):
        raise DocumentError(str(path), 1, "must be {org: {vendor: {collection: [object]}}}")
    return seeds


def check_ca_file(path: Path) -> None:
    """Is this a PEM file with certificates? Raises SandboxError."""
    import ssl  # noqa: PLC0415 - few servers are given one

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise SandboxError(f"--callback-ca {path} is no PEM file with a certificate in it") from None
    except OSError as error:
        raise SandboxError(f"cannot read --callback-ca {path}: {error.strerror}") from None
