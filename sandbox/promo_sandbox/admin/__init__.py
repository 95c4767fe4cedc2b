"""The `/__admin` API: how a test steers its org and asks what happened. Names no vendor."""
