"""The cluster: joined, asked for what tasks need, and its errors as those of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidInput, SelvedgeError


def join(num_cpus: float, num_gpus: float, logs: bool = True) -> None:
    """Join the cluster, or start Ray on this machine, and check that a node can run a task.

    ``logs`` tells whether Ray prints here what tasks and actors print.

    Raises:
        InvalidInput: No node has these cores and GPUs.
        SelvedgeError: The cluster that RAY_ADDRESS names does not answer.
    """
    import logging

    import ray

    if not ray.is_initialized():
        try:
            ray.init(logging_level=logging.WARNING, log_to_driver=logs)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SelvedgeError(f"no cluster (RAY_ADDRESS names it, `ray start --head` starts one): {error}") from error
    check_nodes([node["Resources"] for node in ray.nodes() if node["Alive"]], num_cpus, num_gpus)


def nodes_with(num_cpus: float, num_gpus: float) -> list[str]:
    """Ids of the nodes that can run a task, in their order."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    return sorted(node["NodeID"] for node in nodes if _has(node["Resources"], num_cpus, num_gpus))


def check_nodes(nodes: list[dict[str, float]], num_cpus: float, num_gpus: float) -> None:
    """Check that one of the nodes can run a task, which Ray would wait for without an end."""
    if num_cpus < 0 or num_gpus < 0:
        raise InvalidInput(f"cpus is {num_cpus} and gpus is {num_gpus}, expected 0 or more")
    if any(_has(node, num_cpus, num_gpus) for node in nodes):
        return
    have = ", ".join(f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} GPUs" for node in nodes)
    raise InvalidInput(
        f"no node has {num_cpus:g} cores and {num_gpus:g} GPUs: there are nodes of {have}; ask for less (--cpus,"
        " --gpus), or add a node"
    )


def _has(node: dict[str, float], num_cpus: float, num_gpus: float) -> bool:
    return node.get("CPU", 0) >= num_cpus and node.get("GPU", 0) >= num_gpus


def result(reference: Any) -> Any:
    """Return the result of a task.

    Raises:
        SelvedgeError: The one that the task raised, or one that says why it did not end.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause: BaseException = error
        while isinstance(cause, ray.exceptions.RayTaskError) and isinstance(cause.cause, BaseException):
            cause = cause.cause
        if isinstance(cause, SelvedgeError):
            raise cause from None
        raise SelvedgeError(f"a task failed: {type(cause).__name__}: {first_line(cause)}") from error


def results(references: list[Any], report: Callable[[int], None]) -> list[Any]:
    """Return the results of tasks, and report how many have ended. The first one that fails ends the others.

    Raises:
        SelvedgeError: As of :func:`result`.
    """
    import ray

    report(0)
    waiting = list(references)
    try:
        while waiting:
            ended, waiting = ray.wait(waiting, num_returns=1)
            result(ended[0])
            report(len(references) - len(waiting))
    except BaseException:
        for reference in waiting:
            ray.cancel(reference, force=True)
        raise
    return [result(reference) for reference in references]


def first_line(error: BaseException) -> str:
    """First line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""
