"""What a person permits, what decided it, and all that was ever said."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from cdp.domain.access import Ground
from cdp.insight import consent
from cdp.insight.person import Identifier, Person, PurposeState
from cdp.ui import app, frame, words
from cdp.ui.masks import NAMES, Show

_STATE: Final[Mapping[str, tuple[frame.Color, str]]] = {
    "granted": ("green", "check_circle"),
    "denied": ("orange", "do_not_disturb_on"),
    "unknown": ("gray", "help"),
}

RULE: Final = (
    "A statement binds the identifier it was made for, and the newest wins. What was denied "
    "explicitly, only a newer explicit Yes opens."
)


@app.per_version
def _history(version: str, profile_id: str) -> list[consent.Told]:
    del version
    return consent.history(app.need_warehouse(), app.platform().policy, profile_id)


def consents(found: Person) -> None:
    """Draw the state a purpose, with what decided it."""
    st.dataframe(
        [
            {
                "Purpose": told.purpose,
                "State": [told.state],
                "Source": told.source or "nobody said",
                "Since": words.day(told.since) if told.since else words.NOTHING,
                "So": _so(told),
            }
            for told in found.consent
        ],
        hide_index=True,
        key="consents",
        column_config={"State": state_column()},
        alt="Consent by purpose",
    )


def _so(told: PurposeState) -> str:
    if not told.permits:
        return "fields are withheld"
    purpose = app.platform().policy.purposes.get(told.purpose)
    alone = purpose is not None and purpose.scope == "value"
    return "fields are kept, of each address by its own consent" if alone else "fields are kept"


def state_column(title: str = "State") -> Any:
    """Return the column of consent states, each a badge."""
    return st.column_config.MultiselectColumn(
        title, options=list(_STATE), color=[color for color, _ in _STATE.values()]
    )


def consent_history(
    found: Person,
    version: str,
    known: Collection[Identifier],
    show: Show,
    conceal: Callable[[str], str],
    *,
    is_admin: bool,
) -> None:
    """Draw all that was said, the newest first."""
    told = _history(version, found.profile_id)
    theirs = {*found.identifiers, *known}
    history_table(told, theirs, show, conceal, is_admin=is_admin, key="consent_history")


def history_table(
    told: Sequence[consent.Told],
    theirs: Collection[Identifier],
    show: Show,
    conceal: Callable[[str], str],
    *,
    is_admin: bool,
    key: str,
) -> None:
    """Draw what was said of a person's consent.

    Args:
        theirs: the person's identifiers. A No counts for them also where it was said of one that
            consents to be joined with nobody: that one is nobody's to show.
        conceal: masks in text, for a file may be called after somebody.
    """
    if not told:
        st.caption("Nothing was ever said.")
        return
    st.caption(RULE)

    def value(one: consent.Told) -> str:
        joined = Identifier(one.type, one.value) in theirs
        return show(one.type, one.value, None if joined else Ground(None))

    st.dataframe(
        [
            {
                "When": words.moment(one.at),
                "Purpose": one.purpose,
                "State": [one.state],
                "Source": one.source,
                "Kind": "decision" if one.explicit else "signal",
                "In force": "in force" if one.in_force else "",
                "Identifier": f"{NAMES[one.type]} {value(one)}",
                "Evidence": conceal(one.evidence or ""),
                **({"Told by": one.told_by or ""} if is_admin else {}),
            }
            for one in told
        ],
        hide_index=True,
        key=key,
        column_config={"State": state_column()},
        alt="Consent history",
    )
