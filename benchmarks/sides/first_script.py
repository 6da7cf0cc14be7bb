"""A script with a flow of one task, as a user writes it: what `python flow.py` takes in a folder where nothing was run."""

HEADWATER = """
from headwater import flow, task

@task
def one():
    return 1

@flow
def main():
    return one()

main()
"""

PREFECT = HEADWATER.replace("headwater", "prefect")

DAGSTER = """
from dagster import DagsterInstance, job, op

@op
def one():
    return 1

@job
def main():
    one()

with DagsterInstance.get() as instance:
    main.execute_in_process(instance=instance)
"""
