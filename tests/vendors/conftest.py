"""Fixtures that several modules of one vendor share."""

from __future__ import annotations

import pytest

from tests.serving import OrgClient
from tests.vendors.emporix_coupons_support import tenant


@pytest.fixture
def shop(org_client: OrgClient) -> OrgClient:
    """A tenant with coupons; other modules have a shop of their own, with more in it."""
    return tenant(org_client)
