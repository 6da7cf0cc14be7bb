"""What the first ten lines of a user tell a catalog."""

import json
from collections.abc import Callable
from pathlib import Path

from ten_lines import ask, ran


def test_its_openlineage_events_are_valid(tmp_path: Path, validate: Callable[..., None]) -> None:
    folder = ran(tmp_path)
    exported = ask(folder, "openlineage", "export", "--to", "events.ndjson")
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    assert exported["exported"] == len(events) == 4
    validate(events, finished=True)
    told = [(event["eventType"], event["job"]["name"]) for event in events]
    assert told == [("START", "main"), ("START", "main.make"), ("COMPLETE", "main.make"), ("COMPLETE", "main")]
    outputs = {output["name"] for event in events for output in event.get("outputs", ())}
    assert outputs == {ask(folder, "status")["assets"][0]["dataset"]}
