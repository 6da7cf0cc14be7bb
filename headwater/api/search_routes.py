"""Routes that find: assets, columns and runs by a part of their names."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/api", tags=["assets"])
