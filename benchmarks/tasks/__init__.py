"""Tasks: data with a split, a loss and a metric."""

from graphpe.benchmarks.tasks.code2 import Code2
from graphpe.benchmarks.tasks.python_source import PythonSource

__all__ = ["Code2", "PythonSource"]
