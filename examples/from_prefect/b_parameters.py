"""Parameters are held against the annotations, and converted: texts become dates, mappings become models.

What changes: nothing in the flow. `run_name` is Prefect's `flow_run_name`: the runs stand as load-2024-01-05.
The error names each parameter that does not fit, what it got and what it wants.

Prints:
    2024-01-05 eu 3
    refused: rows
"""

from datetime import date

from pydantic import BaseModel

from headwater import flow
from headwater.errors import ParameterError


class Shop(BaseModel):
    region: str
    rows: int = 3


@flow(run_name="load-{day}")
def load(day: date, shop: Shop) -> str:
    return f"{day} {shop.region} {shop.rows}"


if __name__ == "__main__":
    print(load("2024-01-05", {"region": "eu"}))  # type: ignore[arg-type]
    try:
        load(date(2024, 1, 5), {"region": "eu", "rows": "many"})  # type: ignore[arg-type]
    except ParameterError as error:
        print("refused:", "rows" if "rows" in str(error) else error)
