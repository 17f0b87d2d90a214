"""Which operations have a CUDA kernel, by the list that PyTorch ships."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

ANY_DEVICE = {"CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}


@cache
def dispatch_keys() -> dict[str, set[str]]:
    """Dispatch keys of every operation, from `native_functions.yaml`.

    Raises:
        RuntimeError: The list is not there, or does not read as it did: a check that cannot fail must not pass for one.
    """
    found = find_spec("torchgen")
    folder = Path(found.origin).parent if found is not None and found.origin is not None else Path("torchgen")
    path = folder / "packaged/ATen/native/native_functions.yaml"
    if not path.exists():
        raise RuntimeError(f"{path} is missing: whether CUDA has a kernel cannot be told")
    entries = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    keys: dict[str, set[str]] = {}
    delegates: dict[str, str] = {}
    for entry in entries:
        name = entry["func"].split("(")[0].strip()
        own = {part.strip() for key in (entry.get("dispatch") or {}) for part in key.split(",")}
        if "ufunc_inner_loop" in entry:  # kernels are generated
            own |= {"CPU", "CUDA"}
        keys[name] = own or {"CompositeImplicitAutograd"}
        if "structured_delegate" in entry:
            delegates[name] = entry["structured_delegate"]
        for made in entry.get("autogen", "").split(","):
            if made.strip():
                keys.setdefault(made.strip(), {"CompositeExplicitAutograd"})
    for name, of in delegates.items():
        keys[name] = keys[name] - {"CompositeImplicitAutograd"} | keys[of]
    reads_as_it_did = "CUDA" in keys["index_add"] and not keys["mkldnn_linear"] & {"CUDA", *ANY_DEVICE}
    if len(keys) < 1000 or not reads_as_it_did:
        raise RuntimeError(f"{path} does not read as it did: whether CUDA has a kernel cannot be told")
    return keys


def has_cuda_kernel(func: Any, *, sparse: bool = False) -> bool | None:
    """Whether PyTorch lists a CUDA kernel, or one for all devices; None for operations that are not ATen's.

    Args:
        func: An overload, such as `torch.ops.aten.add.Tensor`.
        sparse: Whether an operand is sparse.
    """
    if not func._schema.name.startswith("aten::"):
        return None
    name, overload = func._schema.name.removeprefix("aten::"), func._schema.overload_name
    keys = dispatch_keys().get(f"{name}.{overload}" if overload else name)
    if keys is None:
        return None
    return bool(keys & (ANY_DEVICE | ({"SparseCsrCUDA", "SparseCUDA"} if sparse else {"CUDA"})))
