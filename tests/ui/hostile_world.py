"""A project whose every text is an attack on a page: names, tags, columns, partitions, logs, errors, parameters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OWNED = "window.owned=1"
PAYLOADS = (
    f"<script>{OWNED}</script>",
    f'"><img src=x onerror={OWNED}>',
    f"' onmouseover='{OWNED}' x='",
    f"</title></script><svg onload={OWNED}>",
    f"javascript:{OWNED}//",
    f"{{{{constructor.constructor('{OWNED}')()}}}}",
    f"<iframe srcdoc='<script>parent.{OWNED}</script>'>",
    "abc <b>bold</b> &lt;i&gt; &#x6a;",
    "x" * 180,
)

SCRIPT = """
import json, logging
from pathlib import Path
from headwater import Asset, StaticPartitions, flow, materialize, task

texts = json.loads(Path("texts.json").read_text())


def define(number, text):
    made = Asset(
        text, at=f"parquet://lake/t{number}", owners=[text], tags={"note": text}, description=text,
        partitions=StaticPartitions([text]), column_tags={text: [text]},
    )

    @materialize(made, name=text)
    def make():
        import polars
        return polars.DataFrame({text: ["v"]})

    return make


makers = [define(number, text) for number, text in enumerate(texts)]


@task
def shout(text):
    logging.getLogger("app").warning("%s", text)
    print(text)
    raise ValueError(text)


@flow
def hostile(texts: list[str]):
    for make, text in zip(makers, texts):
        make.at(text)()
    failed = [shout.submit(text) for text in texts]
    for one in failed:
        one.result()


if __name__ == "__main__":
    hostile(texts)
"""


def make_hostile(folder: Path) -> None:
    """Write it and run it: its run fails, as it is meant to."""
    (folder / "pyproject.toml").write_text('[project]\nname = "hostile"\n\n[tool.headwater]\nmodules = ["hostile"]\n')
    (folder / "hostile.py").write_text(SCRIPT)
    (folder / "texts.json").write_text(json.dumps(PAYLOADS))
    done = subprocess.run([sys.executable, "hostile.py"], cwd=folder, capture_output=True, text=True, timeout=110)
    assert "ValueError" in done.stderr, done.stdout + done.stderr
