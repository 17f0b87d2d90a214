"""A connection to a Ray cluster, for what runs in several processes elsewhere."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphpe.errors import GraphPERuntimeError


@contextmanager
def ray_cluster(**options: Any) -> Iterator[Any]:
    """The module `ray`, connected; a connection that was made here is ended here.

    Args:
        options: For `ray.init`, where no connection is there yet.

    Raises:
        GraphPERuntimeError: Ray is not installed, or there is no connection to the cluster.
    """
    try:
        ray: Any = importlib.import_module("ray")  # not `import`: type checkers need not have it
    except ImportError:
        raise GraphPERuntimeError("engine='ray' needs Ray, which is not here: pip install 'graphpe[ray]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        try:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:300]
            raise GraphPERuntimeError(f"no connection to a Ray cluster: {type(error).__name__}: {text}") from None
    try:
        yield ray
    finally:
        if started_here:
            ray.shutdown()
