"""Every spec against a running server: fuzzed, from the outside, by tools that know only the spec."""
