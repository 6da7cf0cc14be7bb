"""Routes about partitions as a picture: stretches and grids of states."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/api", tags=["assets"])
