"""A person's identifiers masked, wherever they stand."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from cdp.domain.access import shown, sight
from cdp.domain.identifiers import spellings
from cdp.domain.payload import FieldType, cast, field_type, owns
from cdp.insight.person.document import Identifier, Person
from cdp.insight.person.lenient import Json, as_texts, value_at
from cdp.insight.person.origins import STAMP, TYPE_AT

# What somebody may take for an e-mail address, also in a URL. Parts have a greatest length, for
# long text without one would be tried from each of its characters on.
_EMAIL: Final = re.compile(
    r"[\w.!#$%'*+^`{|}~-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}", re.IGNORECASE
)


def raw(
    person: Person,
    masked: Collection[str],
    known: Collection[Identifier] = (),
    withheld: Collection[str] = (),
) -> Json:
    """Return the document, identifiers of the types in *masked* masked wherever they stand.

    That is at their own fields; and in others' fields, in longer text and in the names of fields,
    whatever is one of the profile's values or, with `email` masked, looks like an e-mail address.

    Args:
        known: identifiers that are the person's although consent withholds them from the document.
        withheld: types in *masked* that consent withholds: of them nothing is left.
    """
    return _Mask(person, masked, known, withheld).map(person.body, "", owned=True)


def concealer(
    person: Person,
    masked: Collection[str],
    known: Collection[Identifier] = (),
    withheld: Collection[str] = (),
) -> Callable[[str], str]:
    """Return what masks text beside the document as `raw` does in it: a page's address, a title."""
    return _Mask(person, masked, known, withheld).text


class _Mask:
    """Masks one person's identifiers, wherever they stand."""

    def __init__(
        self,
        person: Person,
        masked: Collection[str],
        known: Collection[Identifier],
        withheld: Collection[str],
    ) -> None:
        self._masked = frozenset(masked)
        self._withheld = frozenset(withheld)
        held = [
            (name, value)
            for path, name in TYPE_AT.items()
            for value in as_texts(value_at(person.body, path))
        ]
        self._types = {
            spelling.lower(): name
            for name, value in (*((one.type, one.value) for one in known), *held)
            if name in self._masked
            # A phone number is known without its plus, too.
            for spelling in (value, value.removeprefix("+") if name == "phone" else value)
            if spelling
        }

    def _hidden(self, name: str, value: str) -> str:
        return shown(name, value, sight(permitted=name not in self._withheld, masked=True))

    def map(self, body: Mapping[str, Any], above: str, *, owned: bool) -> Json:
        """Return *body*, the map at path *above*; `owned`: the platform keeps fields there."""
        result: Json = {}
        for key, value in body.items():
            path = f"{above}.{key}" if above else key
            ours = owned and "." not in key and (owns(path) or path in {"sync", *STAMP})
            name = key if ours else self.text(key)
            while name in result:  # two names that are masked alike
                name += "'"
            result[name] = self._value(value, path, owned=ours)
        return result

    def _value(self, value: Any, path: str, *, owned: bool) -> Any:
        name = TYPE_AT.get(path) if owned else None
        if name in self._masked:
            return _each(value, lambda leaf: self._hidden(str(name), str(leaf)))
        match value:
            case dict():
                return self.map(value, path, owned=owned)
            case list():
                return [self._value(item, path, owned=owned) for item in value]
            case str() if not (owned and _is_time(path, value)):
                return self.text(value)
            case int() | float() if not owned and str(value) in self._types:
                return self._hidden(self._types[str(value)], str(value))
        return value

    def text(self, text: str) -> str:
        """Return *text* with what it tells of masked identifiers masked."""
        for spelling in spellings(text):
            if spelling.lower() in self._types:
                return self._hidden(self._types[spelling.lower()], text.strip())
        folded = text.lower()
        if held := [value for value in self._types if value in folded]:
            values = "|".join(_whole(value) for value in sorted(held, key=len, reverse=True))
            text = re.sub(values, self._known, text, flags=re.IGNORECASE)
        if "email" in self._masked:
            text = _EMAIL.sub(
                lambda found: self._hidden("email", found[0].replace("%40", "@")), text
            )
        return text

    def _known(self, found: re.Match[str]) -> str:
        return self._hidden(self._types.get(found[0].lower(), ""), found[0])


def _is_time(path: str, value: str) -> bool:
    kind = field_type(path)
    return kind is FieldType.TIMESTAMP and cast(kind, value) is not None


def _whole(value: str) -> str:
    """Return an expression for *value* where it is no part of a longer word."""
    start = r"(?<!\w)" if re.match(r"\w", value) else ""
    end = r"(?!\w)" if re.search(r"\w$", value) else ""
    return f"{start}{re.escape(value)}{end}"


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return *value* with every text and number in it, names of fields too, changed."""
    if isinstance(value, dict):
        return {change(key): _each(below, change) for key, below in value.items()}
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    return value if value is None or isinstance(value, bool) else change(value)
