"""The strict validator of OpenLineage events, which lies beside the repository together with the specification."""

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VALIDATOR = Path(__file__).parents[2].parent / "shared" / "openlineage" / "validate.py"
ABSENT = f"the strict OpenLineage validator is not there ({VALIDATOR}): what is exported was NOT validated"

Validate = Callable[..., None]


@pytest.fixture(scope="session")
def validator() -> ModuleType:
    if not VALIDATOR.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    spec = importlib.util.spec_from_file_location("openlineage_validator", VALIDATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def validate(validator: ModuleType) -> Validate:
    """Fails when an event is not valid, or, with `finished=True`, when a run lacks its one start and its one end."""

    def check(events: Iterable[dict[str, Any]], *, finished: bool = False) -> None:
        events = list(events)
        problems = [problem for event in events for problem in validator.event_errors(event, set())]
        if finished:
            problems.extend(validator.life_cycle_errors(events))
        assert problems == []

    return check


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not VALIDATOR.is_file():
        terminalreporter.write_line(ABSENT, red=True)
