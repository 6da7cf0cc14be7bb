"""What differs between what a result depended on and what it would depend on now, part by part."""

from __future__ import annotations

from collections.abc import Mapping

from headwater.types import Reason


def code_changes(
    before: Mapping[str, str] | None, version: str | None, now: Mapping[str, str], current: str | None
) -> tuple[Reason, ...]:
    """The parts that differ, each as a reason; nothing where the parts of then are not known.

    `version` and `current` are the versions of the code then and now; of code that is only a function the version is all
    that there is to it.

    >>> then, now = {"code": "1", "constant 'RATE'": "2"}, {"code": "1", "constant 'RATE'": "3", "code of clean": "4"}
    >>> [one.text for one in code_changes(then, "a", now, "b")]
    ["constant 'RATE' differs", 'code of clean counts now, and did not then']
    """
    if before is None or version is None or current is None:
        return ()
    then, now = before or {"code": version}, now or {"code": current}
    if "version" in then and "version" in now:
        return (Reason("version", f"its version is '{now['version']}', and was '{then['version']}'"),)
    if "version" in now:
        return (Reason("version", f"its version '{now['version']}' counts now, and its code did then"),)
    if "version" in then:
        return (Reason("version", f"its code counts now, and its version '{then['version']}' did then"),)
    return changes(then, now)


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[Reason, ...]:
    """The parts that are not the same now, each as a reason: their fingerprints by what they are called."""
    found = (_change(name, then.get(name), now.get(name)) for name in {**then, **now})
    return tuple([one for one in found if one is not None])


def _change(name: str, then: str | None, now: str | None) -> Reason | None:
    if then == now:
        return None
    if now is None:
        return Reason("dropped", f"{name} counted then, and does not now")
    if then is None:
        return Reason("added", f"{name} counts now, and did not then")
    kind = "code_changed" if name == "code" or name.startswith("code of ") else "differs"
    return Reason(kind, f"{name} differs")
