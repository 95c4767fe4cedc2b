"""Runs the benchmark from anywhere: python bench/run.py [--quick] [--help]."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from bench.measure import main

    sys.exit(main())
