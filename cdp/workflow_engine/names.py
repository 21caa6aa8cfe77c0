"""Which variables a step sees: the scopes of a routine, known before it runs.

Source: "Variables" (a loop and an `except` have their own scope; reading a variable that is not
in scope is an error when the workflow is deployed) and "Parallel steps" (shared variables).
"""

from collections.abc import Iterable, Iterator


class Names:
    """The variables of one scope; a parallel branch writes only the *shared* ones outside it."""

    def __init__(self, outer: "Names | None" = None, shared: frozenset[str] | None = None) -> None:
        self._outer = outer
        self._shared = shared
        self._own: set[str] = set()

    def _outward(self) -> "Iterator[Names]":
        scope: Names | None = self
        while scope is not None:
            yield scope
            scope = scope._outer

    def has(self, name: str) -> bool:
        return any(name in scope._own for scope in self._outward())

    def add(self, names: Iterable[str]) -> None:
        """Create variables in this very scope."""
        self._own.update(names)

    def write(self, name: str) -> bool:
        """Assign to *name*, creating it here if it is new; False where that is not allowed."""
        if not self.has(name):
            self.add([name])
            return True
        for scope in self._outward():
            if name in scope._own:
                break
            if scope._shared is not None and name not in scope._shared:
                return False
        return True
