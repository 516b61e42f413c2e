"""Names that a package offers, imported when they are first used: what needs no PyTorch then starts without it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def imported_when_used(package: str, modules: dict[str, str]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a package (PEP 562).

    Args:
        modules: for each name that the package offers, the module in it that has it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
