"""The client of the admin API, in Python. Public: the names below are promised; the modules are private.

The server side of the same API is the room `admin`. Start with `client`: one method for each operation.
"""

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.client.calls import TooFewWebhooks, VersionMismatch
from promo_sandbox.client.client import AsyncOrg, AsyncSandbox, Org, Sandbox
from promo_sandbox.client.http import Rejected, Unreachable

__all__ = [
    "AsyncOrg", "AsyncSandbox", "Org", "Rejected", "Sandbox", "SandboxError", "TooFewWebhooks", "Unreachable",
    "VersionMismatch",
]  # fmt: skip
