"""What people are called, and the way to their pages."""

from collections.abc import Iterable
from typing import Final, Literal

import streamlit as st

from cdp.domain.access import Ground
from cdp.domain.pseudonym import pseudonym
from cdp.ui import words
from cdp.ui.masks import Show

PROFILE: Final = "pages/profile.py"
LIST: Final = "pages/customers.py"
_LISTED: Final = "cdp.listed"
_SHOWN: Final = "cdp.shown"


def called(
    profile_id: str,
    identifiers: Iterable[tuple[str, str]],
    show: Show,
    ground: Ground | None = None,
) -> str:
    """Return what somebody is called: an identifier that is shown whole, or else a pseudonym.

    Args:
        identifiers: types and values, the strongest first.
        ground: the consent that they are shown by, where *show* knows none.
    """
    for kind, value in identifiers:
        if show(kind, value, ground) == value:
            return f"Visitor {value}" if kind == "client_id" else value
    return pseudonym(profile_id)


def link(profile_id: str, name: str, *, width: int | Literal["content"] = "content") -> None:
    """Draw the way to a profile."""
    st.page_link(
        PROFILE,
        label=f"**:primary[{words.plain(name)}]**",
        query_params={"profile": profile_id},
        width=width,
    )


def send_on() -> None:
    """Go to the profile that the list's address names; profiles had theirs there once.

    Going to another page leaves such an address in the history, too: who comes back to it from the
    profile wants the list.
    """
    profile_id = st.query_params.get("profile")
    if profile_id is None:
        return
    if profile_id == st.session_state.get(_SHOWN):
        st.query_params.from_dict(st.session_state.get(_LISTED, {}))
    else:
        st.switch_page(PROFILE, query_params=st.query_params.to_dict())


def keep_profile(profile_id: str) -> None:
    """Keep which profile is looked at."""
    st.session_state[_SHOWN] = profile_id


def keep_list() -> None:
    """Keep which list is looked at, so that the way back from a profile leads to it."""
    st.session_state[_LISTED] = st.query_params.to_dict()


def link_to_list() -> None:
    """Draw the way to the list that was looked at last."""
    st.page_link(
        LIST,
        label="All customers",
        icon=":material/arrow_back:",
        query_params=st.session_state.get(_LISTED) or None,
    )
