"""Routes about the drawn graph: nodes with their places, ready to be shown."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/api", tags=["assets"])
