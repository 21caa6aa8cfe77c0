"""What a denial takes out of a profile at once, before any refresh has weighed it.

It only takes away: fields that its purpose permits, and a Yes. What another identifier or a newer
statement would permit the next refresh finds out, and brings back what may be there.

Source: GDPR Art. 7(3): to withdraw is as easy as to give, and holds from then on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from cdp.domain.consent import VALUES
from cdp.domain.payload import FIELDS

if TYPE_CHECKING:  # whoever only applies a denial needs no policy, nor what reads one
    from cdp.domain.policy import Policy

_CONTACT: Final = {"contact.email": ("contact.email_valid",)}
"""Fields that tell of an address, and go with it."""


@dataclass(frozen=True, slots=True)
class Denial:
    """An explicit denial, with what its policy makes of it: who applies it knows no policy.

    Attributes:
        type, value: the identifier as it is joined, a client by its bare id.
        at: timestamp text.
        fields: paths that the purpose permits.
        alone: it closes this address or number only, not what else the purpose permits.
        profiles: ids of profiles that are the identifier's though their documents may not hold it.
    """

    type: str
    value: str
    purpose: str
    at: str
    source: str
    fields: tuple[str, ...]
    alone: bool
    profiles: tuple[str, ...] = ()

    @classmethod
    def under(
        cls, policy: "Policy", type: str, value: str, purpose: str, *, at: str, source: str
    ) -> Self:
        """Return the denial of *purpose* by one identifier, as *policy* has it.

        A purpose of scope `value` is closed for an address by its own No alone; a No of a user id
        or a client closes all of the person's addresses.
        """
        return cls(
            type=type,
            value=value,
            purpose=purpose,
            at=at,
            source=source,
            fields=tuple(path for path in FIELDS if policy.purpose_of(path) == purpose),
            alone=policy.purposes[purpose].scope == "value" and type in VALUES,
        )

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Return the denial that the document of a decision tells of."""
        told: dict[str, Any] = {name: body[name] for name in cls.__slots__}
        return cls(**{**told, "fields": tuple(told["fields"]), "profiles": tuple(told["profiles"])})

    @property
    def body(self) -> dict[str, Any]:
        """As the document of a decision keeps it."""
        told = asdict(self)
        return {n: list(value) if isinstance(value, tuple) else value for n, value in told.items()}

    def concerns(self, profile_id: str, body: Mapping[str, Any]) -> bool:
        """Whether the profile is the identifier's: it is known to be, or its document holds it.

        One that has ended, by merge or otherwise, is nobody's: it holds nothing to take out.
        """
        if value_at(body, "sync.state") in _ENDED:
            return False
        if profile_id in self.profiles:
            return True
        paths = (f"identifiers.{self.type}", *_ELSEWHERE.get(self.type, ()))
        return any(self.value in _values(value_at(body, path)) for path in paths)


_ENDED: Final = ("merged", "deleted", "gone")
_ELSEWHERE: Final = {
    "email": ("contact.email",),
    "phone": ("contact.phone",),
    "client_id": ("ga4.last_client_id",),
}
"""Where else than below `identifiers` a document holds identifiers."""


def withdrawn(profile_id: str, body: Mapping[str, Any], denial: Denial) -> dict[str, Any]:
    """Return *body*, the document or a row's fields, as *denial* leaves it.

    It has no field that *body* has not, but for what it says of the denied purpose, and of other
    purposes' fields and other systems' everything. Of a profile that the denial does not concern it
    is *body*.
    """
    after = dict(body)
    if not denial.concerns(profile_id, body):
        return after
    closed = True
    if denial.alone:
        for path in denial.fields:
            after = _without_value(after, path, denial)
        closed = not any(_values(value_at(after, path)) for path in _addresses(denial))
    if closed:
        for path in denial.fields:
            after = _set(after, path, None)
        after = _denied(after, denial)
    return after


def _addresses(denial: Denial) -> Iterator[str]:
    """Yield the permitted paths that hold addresses and numbers."""
    held = {f"{above}.{type_}" for above in ("identifiers", "contact") for type_ in VALUES}
    return (path for path in denial.fields if path in held)


def _without_value(body: dict[str, Any], path: str, denial: Denial) -> dict[str, Any]:
    """Return *body* without the denied value at *path*, and what tells of it beside."""
    if path not in {f"identifiers.{denial.type}", f"contact.{denial.type}"}:
        return body
    held = value_at(body, path)
    if denial.value not in _values(held):
        return body
    rest = [one for one in held if one != denial.value] if isinstance(held, list) else None
    after = _set(body, path, rest or None)
    for beside in _CONTACT.get(path, ()):
        if beside in denial.fields:
            after = _set(after, beside, None)
    return after


def _denied(body: dict[str, Any], denial: Denial) -> dict[str, Any]:
    """Return *body* saying no; where it does already, since when it did."""
    above = f"consent.{denial.purpose}"
    if value_at(body, f"{above}.state") == "denied":
        return body
    told = {"state": "denied", "since": denial.at, "source": denial.source}
    for name, value in told.items():
        body = _set(body, f"{above}.{name}", value)
    return body


def value_at(body: Any, path: str) -> Any:
    """Return the value at a dotted path; None where there is none."""
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _values(held: Any) -> list[Any]:
    """Return what others, too, may have written there as a list."""
    return held if isinstance(held, list) else [] if held is None else [held]


def _set(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return *body* with *value* at *path*, None taking it away, and a map that is then empty."""
    name, _, below = path.partition(".")
    after = dict(body)
    if not below:
        after.pop(name, None)
        return after if value is None else {**after, name: value}
    held = after.get(name)
    if not isinstance(held, dict):
        return after if value is None else {**after, name: _set({}, below, value)}
    changed = _set(held, below, value)
    if changed or not held:
        after[name] = changed
    else:
        del after[name]
    return after
