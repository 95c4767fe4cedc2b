"""Tests of events on their way to subscribers."""
