"""What a person permits, what decided it, and all that was ever said."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from cdp.insight import consent
from cdp.insight.person import Person
from cdp.ui import app, frame, words
from cdp.ui.masks import NAMES, Show

_STATE: Final[Mapping[str, tuple[frame.Color, str]]] = {
    "granted": ("green", "check_circle"),
    "denied": ("orange", "do_not_disturb_on"),
    "unknown": ("gray", "help"),
}


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
                "So": "fields are kept" if told.permits else "fields are withheld",
            }
            for told in found.consent
        ],
        hide_index=True,
        key="consents",
        column_config={"State": state_column()},
        alt="Consent by purpose",
    )


def state_column(title: str = "State") -> Any:
    """Return the column of consent states, each a badge."""
    return st.column_config.MultiselectColumn(
        title, options=list(_STATE), color=[color for color, _ in _STATE.values()]
    )


def consent_history(found: Person, version: str, show: Show) -> None:
    """Draw all that was said, the newest first."""
    history_table(_history(version, found.profile_id), show, key="consent_history")


def history_table(told: Sequence[consent.Told], show: Show, key: str) -> None:
    """Draw what was said of a person's consent."""
    if not told:
        st.caption("Nothing was ever said.")
        return
    st.dataframe(
        [
            {
                "From": words.moment(one.at),
                "Until": words.moment(one.until),
                "Purpose": one.purpose,
                "State": [one.state],
                "Source": one.source,
                "Kind": "decision" if one.explicit else "signal",
                "In force": "in force" if one.in_force else "",
                "Identifier": f"{NAMES[one.type]} {show(one.type, one.value)}",
            }
            for one in told
        ],
        hide_index=True,
        key=key,
        column_config={"State": state_column()},
        alt="Consent history",
    )
