"""What commands take of a user's own data: `graphpe train molecules.csv --target solubility`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphpe.benchmarks.console.parser import CommandParser


@dataclass(frozen=True)
class DataOptions:
    """What the command line says of own data.

    Attributes:
        data: Its path; None where a task is given otherwise.
        targets: Names of targets; empty for those that are there.
        valid: The file of the validation part.
        test: The file of the test part.
        skip_bad: Whether what cannot be read is left out.
    """

    data: str | None = None
    targets: tuple[str, ...] = ()
    valid: str | None = None
    test: str | None = None
    skip_bad: bool = False

    @classmethod
    def take(cls, values: dict[str, Any]) -> DataOptions:
        """Those among the options of a command, from which they are taken away."""
        data, target, valid, test, skip_bad = (
            values.pop(name) for name in ("own_data", "target", "valid", "test", "skip_bad")
        )
        return cls(data, tuple(target or ()), valid, test, skip_bad)

    @property
    def more(self) -> list[str]:
        """The options that are given beside the path."""
        options = {"target": self.targets, "valid": self.valid, "test": self.test, "skip-bad": self.skip_bad}
        return [f"--{name}" for name, value in options.items() if value]


def add_data(parser: CommandParser) -> None:
    """Add DATA and the options that say more of it."""
    parser.add_argument(
        "own_data",
        metavar="DATA",
        nargs="?",
        type=str,
        default=None,
        help="own data, which stands first: a table of SMILES, PyG's .pt file or folder, a folder of graphpe encode, "
        "networkx JSON, a folder of edge lists, or of Python source",
    )
    parser.add_argument(
        "--target", action="append", default=None, help="column or value of DATA to predict; may be repeated"
    )
    parser.add_argument("--valid", type=str, default=None, help="like DATA, of the validation part (default: a share)")
    parser.add_argument("--test", type=str, default=None, help="like DATA, of the test part (default: a share)")
    parser.add_argument("--skip_bad", action="store_true", help="leave out, and count, what of DATA cannot be read")
