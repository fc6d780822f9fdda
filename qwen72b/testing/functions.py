"""
Scripted outputs for each function of a recorded page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .job import Job
from .script import Outputs
from .steps import Step

__all__ = ["Functions", "ScriptedFunctions"]

# What a function gives: for each time that it yields, its outputs; or steps.
Script = Iterable[Sequence[Any] | Step]

# That, by the function's number or ``api_name``; or made of the job.
Functions = Mapping[int | str, Script | Callable[[Job], Script]]


class ScriptedFunctions:
    """
    The script of every job of a page.

    Args:
        config: The page's ``/config``.
        functions: What its functions give.
    """

    def __init__(self, config: dict[str, Any], functions: Functions) -> None:
        self._dependencies = {
            dependency.get("id", position): dependency
            for position, dependency in enumerate(config["dependencies"])
        }
        self._functions = dict(functions)

    def __call__(self, job: Job) -> Iterator[Step]:
        """Give the steps of a job."""
        dependency = self._dependencies[job.fn_index]
        name = str(dependency.get("api_name")).lstrip("/")
        script = self._functions.get(job.fn_index, self._functions.get(name))
        if script is None:
            script = [[None] * len(dependency["outputs"])]
        for given in script(job) if callable(script) else script:
            yield given if isinstance(given, Step) else Outputs(given)
