"""What a row's own consent lets it set: the last look before anything is stored.

A field may be set where the row states its purpose, by the policy, as granted; or as unknown, where
silence permits the purpose. A purpose that the row does not state permits nothing, and a field
without a purpose is permitted by nothing.

Addresses and numbers of a purpose of scope `value` are no exception: the warehouse weighs each by
its own word, and the row states the best that one of them has. Where that does not permit, none may
be set. Source: GDPR Art. 4(11), 7(1).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from cdp.domain.consent import State

_STATES: Final = frozenset(get_args(State))


@dataclass(frozen=True, slots=True)
class Permission:
    """What a policy says of it.

    Attributes:
        purposes: the purpose of each field, by dotted path.
        silent: the purposes that silence permits.
    """

    purposes: Mapping[str, str]
    silent: Collection[str]
    _open: dict[frozenset[str], dict[str, set[str]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def refusal(self, fields: Mapping[str, Any]) -> str | None:
        """Return why a row may not set *fields*; None where it may. Quotes no value.

        Args:
            fields: typed as `cdp.domain.payload` says: groups of fields, and the whole consent.
        """
        states = {name: said.get("state") for name, said in fields.get("consent", {}).items()}
        for name, state in states.items():
            if state is not None and state not in _STATES:
                return f"consent.{name}.state takes one of {', '.join(get_args(State))}"
        open_ = self._open_to(states)
        for group, below in fields.items():
            if group != "consent" and (closed := below.keys() - open_.get(group, _NOTHING)):
                return self._told(f"{group}.{min(closed)}", states)
        return None

    def _open_to(self, states: Mapping[str, str | None]) -> Mapping[str, set[str]]:
        """Return the fields that may be set, by group; worked out once for equal states."""
        permitted = frozenset(
            name
            for name, state in states.items()
            if state == "granted" or (state == "unknown" and name in self.silent)
        )
        found = self._open.get(permitted)
        if found is None:
            found = self._open[permitted] = {}
            for path, purpose in self.purposes.items():
                if purpose in permitted:
                    group, _, name = path.rpartition(".")
                    found.setdefault(group, set()).add(name)
        return found

    def _told(self, path: str, states: Mapping[str, str | None]) -> str:
        purpose = self.purposes.get(path)
        if purpose is None:
            return f"{path} has no purpose in the policy that the run was planned with"
        return f"{path} needs consent to {purpose}, which the row {_TOLD[states.get(purpose)]}"


_NOTHING: Final[frozenset[str]] = frozenset()
_TOLD: Final = {
    None: "does not state",
    "denied": "says is denied",
    "unknown": "says is unknown, and the policy takes silence for No",
}
