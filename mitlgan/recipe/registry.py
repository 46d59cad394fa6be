"""What is built from each table of a recipe: implementations, found by the class of the table's schema."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from mitlgan.errors import UsageError
from mitlgan.recipe.schema.base import RecipeTable

T = TypeVar("T")


class Registry(Generic[T]):
    """Implementations by schema class.

    Each file of a package registers what it implements; nothing else lists them, so a new one is a new file and its schema.

    Args:
        package: Dotted name of the package whose modules register themselves; they are imported at the first look-up.
        option: The recipe key that chooses one, for messages.
    """

    def __init__(self, package: str, option: str) -> None:
        self._package, self._option = package, option
        self._implementations: dict[type[RecipeTable], T] = {}

    def register(self, *schemas: type[RecipeTable]) -> Callable[[T], T]:
        """Return a decorator that enters an implementation for one or more schema classes."""

        def enter(implementation: T) -> T:
            self._implementations.update(dict.fromkeys(schemas, implementation))
            return implementation

        return enter

    def __getitem__(self, schema: type[RecipeTable]) -> T:
        """Return the implementation of a schema class.

        Raises:
            UsageError: Nothing implements it.
        """
        if schema not in self._implementations:
            self._import_modules()
        if schema not in self._implementations:
            raise UsageError(f"{self._option}: nothing implements {schema.__name__}; register it in {self._package}")
        return self._implementations[schema]

    def __iter__(self) -> Iterator[T]:
        """Go through all implementations, each once."""
        self._import_modules()
        return iter(dict.fromkeys(self._implementations.values()))

    def _import_modules(self) -> None:
        for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__):
            importlib.import_module(f"{self._package}.{module.name}")
