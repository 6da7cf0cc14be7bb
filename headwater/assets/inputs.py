"""The inputs of a function: found in its `Annotated` parameters or given as `inputs=`, and the form each is wanted in."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Annotated, Any, NamedTuple

from headwater.assets.asset import Asset, AssetInput, as_asset
from headwater.assets.forms import form_of
from headwater.assets.location import is_of_tables
from headwater.assets.mappings import PartitionMapping, infer_mapping, mapping_of
from headwater.assets.partitions import PartitionsDefinition
from headwater.assets.protocols import Form
from headwater.errors import DefinitionError

_BARE = inspect.Parameter.empty
"""What stands for an annotation where there is none."""
PARTITION = "partition"
"""A parameter of this name receives the partition that is being made."""
PARTITIONS = "partitions"
"""A parameter of this name receives all the partitions of a call that makes several."""


class InputSpec(NamedTuple):
    """A parameter that is read from an asset when it is not passed. A tuple: of many assets most time goes into such values."""

    parameter: str
    asset: Asset
    form: Form
    mapping: PartitionMapping


def inputs_of(
    fn: Callable[..., Any],
    outputs: tuple[Asset, ...],
    given: Mapping[str, Asset | AssetInput | str] | None,
    local_names: Mapping[str, Any],
) -> tuple[InputSpec, ...]:
    """The inputs of a function that makes these assets.

    Raises DefinitionError for an annotation that can't be resolved, a parameter that does not exist, a form that is not
    known, and an input whose partitions can't be mapped.
    """
    parameters = _annotations(fn)
    specs: dict[str, InputSpec] = {}
    for name, annotation in parameters.items():
        if annotation is _BARE:
            continue
        hint = _resolve(fn, name, annotation, local_names)
        found = _asset_of(hint)
        if found is not None:
            specs[name] = _spec(fn, name, found, typing.get_args(hint)[0], outputs)
    if given is not None and not isinstance(given, Mapping):
        raise DefinitionError(
            f"inputs of {fn.__qualname__} can't be {given!r}"[:300],
            where=fn.__module__,
            hint='write inputs={"parameter": asset}',
        )
    for name, value in (given or {}).items():
        if name not in parameters:
            raise DefinitionError(
                f"inputs names '{name}', which is no parameter of {fn.__qualname__}",
                where=fn.__module__,
                hint=f"its parameters: {', '.join(parameters) or 'none'}",
            )
        specs[name] = _spec(fn, name, value, _resolve(fn, name, parameters[name], local_names), outputs)
    return tuple(specs.values())


def said_mappings(inputs: Iterable[InputSpec], partitions: PartitionsDefinition | None) -> dict[str, dict[str, Any]]:
    """The mappings that were said of inputs and would not be inferred, as JSON, by what they are called.

    How many partitions are enough is no part of it: that makes no difference to what is made of them.

    >>> from headwater import Asset, DailyPartitions
    >>> days = Asset("said_days", at="memory://said_days", partitions=DailyPartitions("2024-01-01"))
    >>> rows = InputSpec("rows", days, "lazy", days.window(-6, 0, at_least=5).mapping)
    >>> list(said_mappings([rows, InputSpec("day", days, "lazy", days.same().mapping)], days.partitions))
    ["mapping of 'rows'"]
    """
    found = {}
    for one in inputs:
        said = replace(one.mapping, needs=None)
        if said != _inferred(one.asset.partitions, partitions):
            found[f"mapping of '{one.parameter}'"] = said.to_json()
    return found


def _inferred(
    upstream: PartitionsDefinition | None, downstream: PartitionsDefinition | None
) -> PartitionMapping | None:
    try:
        return infer_mapping(upstream, downstream)
    except DefinitionError:
        return None  # it has to be said


def _annotations(fn: Callable[..., Any]) -> dict[str, Any]:
    """The annotation of each parameter, `_BARE` where there is none."""
    code = getattr(fn, "__code__", None)
    plain = type(fn) is FunctionType and not ("__wrapped__" in fn.__dict__ or "__signature__" in fn.__dict__)
    if not plain or code is None or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return {name: one.annotation for name, one in inspect.signature(fn).parameters.items()}
    # A signature takes twenty times as long, and nearly every function is as plain as this.
    found: dict[str, Any] = dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], _BARE)
    hints = fn.__annotations__
    if hints:
        found.update((name, hint) for name, hint in hints.items() if name in found)
    return found


def _spec(fn: Callable[..., Any], name: str, value: Any, hint: Any, outputs: tuple[Asset, ...]) -> InputSpec:
    asset, said = (value.asset, value.mapping) if isinstance(value, AssetInput) else (as_asset(value), None)
    form: Form = "lazy" if hint is _BARE else _form(fn, name, hint, asset)
    downstream = outputs[0].partitions if outputs else None
    try:
        mapping = mapping_of(said, asset.partitions, downstream)
    except DefinitionError as error:
        error.where = f"the input '{name}' ({asset.name}) of {fn.__qualname__}"
        raise
    return InputSpec(parameter=name, asset=asset, form=form, mapping=mapping)


def _resolve(fn: Callable[..., Any], name: str, hint: Any, local_names: Mapping[str, Any]) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, getattr(fn, "__globals__", {}), dict(local_names))  # noqa: S307 - the user's own annotation
    except Exception as error:
        # A name that only a type checker sees is fine, unless it hides an input.
        if "Annotated" not in hint:
            return _BARE
        raise DefinitionError(
            f"the annotation of '{name}' can't be resolved: {error}",
            where=f"{fn.__module__}.{fn.__qualname__}",
            hint=f"define or import what {hint!r} names before the function, or use inputs={{'{name}': …}}",
        ) from error


def _asset_of(hint: Any) -> Asset | AssetInput | None:
    if typing.get_origin(hint) is not Annotated:
        return None
    found = [meta for meta in typing.get_args(hint)[1:] if isinstance(meta, (Asset, AssetInput))]
    return found[0] if found else None


def _form(fn: Callable[..., Any], name: str, hint: Any, asset: Asset) -> Form:
    if typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    found = form_of(hint)
    if found is None and not is_of_tables(asset.at):
        return "any"
    if found is None:
        raise DefinitionError(
            f"the input '{name}' of {fn.__qualname__} can't be given as {inspect.formatannotation(hint)}",
            where=fn.__module__,
            hint="annotate it as polars.LazyFrame, polars.DataFrame, pyarrow.Table, pandas.DataFrame, "
            "duckdb.DuckDBPyRelation, pathlib.Path, headwater.Asset (for use in sql) or typing.Any",
        )
    return found
