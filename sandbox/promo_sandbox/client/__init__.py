"""The client of the admin API, in Python. Public: the names below are promised; the modules are private.

The server's side of the same API is the room `admin`. Start with `client`: one method for each operation.
"""

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.client.calls import OtherVersion, TooFew
from promo_sandbox.client.client import AsyncOrg, AsyncSandbox, Org, Sandbox
from promo_sandbox.client.http import Refused, Unreachable

__all__ = [
    "AsyncOrg", "AsyncSandbox", "Org", "OtherVersion", "Refused", "Sandbox", "SandboxError", "TooFew", "Unreachable",
]  # fmt: skip
