"""Checks: what is asked of the data of an asset before it is published, and what was answered."""
