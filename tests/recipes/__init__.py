"""What docs/ci.md shows in Python, as files, so that it is type-checked."""
