"""The configuration of a server, and the folders of specs, scenarios and parity cases."""

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
    """How callbacks are delivered; times in seconds."""

    policy: Policy = field(default_factory=Policy)
    ca: Path | None = None  # trusted PEM certificates, in addition to the system's
    timeout: float = 5.0  # of one attempt
    attempts: int = 0  # for each delivery; 0: until the subscription is deleted
    longest_retry: float = 3600.0  # the pause between two attempts doubles up to this


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a server; sizes in bytes, times in seconds."""

    strict: bool = False  # accept only tokens issued by this server, and only the clients below
    clients: dict[str, str] = field(default_factory=dict)  # name -> secret
    signing_key: str | None = None  # of tokens; None: a new key in strict mode, else a public one
    seeds: dict[str, dict[str, Any]] = field(default_factory=dict)  # org -> {vendor: {collection: [object]}}
    settings: tuple[tuple[str, str], ...] = ()  # `vendor.field` or `vendor.field.field`, and the default as text
    admin_token: str | None = None
    admin_hosts: tuple[str, ...] = ()  # host names of the admin API, besides addresses and local names
    max_body: int = MEBIBYTE
    max_orgs: int = 100_000
    max_memory: int | None = None  # None: three quarters of the memory of the machine or the control group
    journal_limit: int = 1000  # entries of one org
    journal_bytes: int = 16 * MEBIBYTE  # of all orgs together
    request_timeout: float = 30.0  # until a request must be complete
    specs: Path | None = None
    scenarios: Path | None = None  # a folder of scenarios, in addition to the bundled ones
    callbacks: CallbackConfig = field(default_factory=CallbackConfig)


def data_folder(name: str) -> Path:
    """The folder `specs`, `scenarios` or `parity`: inside the installed package, or in the checkout."""
    for folder in (_PACKAGE / "_files" / name, _CHECKOUT / name, _CHECKOUT / "tests" / name):
        if folder.is_dir():
            return folder
    raise SandboxError(f"the folder {name} is missing from this installation; install promo-sandbox again")


def read_seeds(path: Path) -> dict[str, Any]:
    """Read a seed file: `{org: {vendor: {collection: [object]}}}` in YAML or JSON."""
    seeds = yaml_file.read(path)
    if not isinstance(seeds, dict) or not all(isinstance(seed, dict) for seed in seeds.values()):
        raise DocumentError(str(path), 1, "must be {org: {vendor: {collection: [object]}}}")
    return seeds


def check_ca_file(path: Path) -> None:
    """Raise SandboxError if this is not a PEM file with certificates."""
    import ssl  # noqa: PLC0415 - few servers need it

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise SandboxError(f"--callback-ca {path} is not a PEM file with a certificate") from None
    except OSError as error:
        raise SandboxError(f"cannot read --callback-ca {path}: {error.strerror}") from None
