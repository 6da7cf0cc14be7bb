"""Paths for DuckDB, which reads each as a pattern."""

from __future__ import annotations


def literal_glob(path: str) -> str:
    """A path in which no character means a pattern, for readers that expand globs.

    >>> literal_glob("/lake/a[1]*.parquet")
    '/lake/a[[]1][*].parquet'
    """
    if "*" not in path and "?" not in path and "[" not in path:
        return path
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)
