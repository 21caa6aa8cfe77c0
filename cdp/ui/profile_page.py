"""The page of one profile, put together."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import streamlit as st

from cdp.insight import person
from cdp.insight.person import Person
from cdp.ui import app, frame, masks
from cdp.ui import profile as parts
from cdp.ui.frame import card

Act = Callable[..., None]
"""Takes an action for whoever is signed in then; see `cdp.ui.auth.act`."""


def draw(profile_id: str, *, is_admin: bool, act: Act, actor: Callable[[], str]) -> None:
    """Draw the profile, or say why there is none.

    Args:
        actor: returns who is signed in when it is called; raises where the session is over.
    """
    platform = app.platform()
    found = person.person(platform.documents, platform.policy, profile_id)
    masked = masks.masked_on_page(is_admin, found)
    version = platform.published_version()
    known = parts.known(found, version)
    withheld = masks.withheld(found)
    show = masks.shower(masked, withheld)
    conceal = person.concealer(found, masked, known, withheld)
    st.page_link("pages/customer_explorer.py", label="All customers", icon=":material/arrow_back:")
    if found.state == "unknown":
        with frame.head("No such profile"):
            pass
        parts.explain_state(found)
        return
    shown = replace(found, body=person.raw(found, masked, known, withheld))
    with frame.head(parts.title(found, show), parts.caption(found), parts.badges(found)):
        _actions(found, shown, act, actor, masked=bool(masked - withheld))
    parts.explain_state(found)
    until = _until()
    parts.numbers(found, version, until)
    line, cluster = parts.card_row(found, version, until, show, conceal)
    with card("Consent", "The state in force for each purpose, and what decided it."):
        parts.consents(found)
    tabs = st.tabs(
        ["Events", "Identities", "Consent history", "Fields", "Document"],
        key="details",
        on_change="rerun",
        bind="query-params",
    )
    drawn = (
        (lambda: parts.event_table(line, conceal, show)) if line else None,
        (lambda: parts.evidence(cluster, found, show)) if cluster else None,
        (lambda: parts.consent_history(found, version, show)) if version else None,
        lambda: parts.origins(shown, platform.policy),
        lambda: st.json(shown.body, expanded=2),
    )
    for tab, draw_tab in zip(tabs, drawn, strict=True):
        if tab.open:
            with tab:
                draw_tab() if draw_tab else st.caption("Nothing before the first refresh.")


def _until() -> date:
    """Return the day after the last one that the warehouse has: what charts end at."""
    report = app.report("overview")
    last = report["freshness"]["last_day"] if report else None
    return (date.fromisoformat(last) if last else datetime.now(UTC).date()) + timedelta(days=1)


def _actions(
    found: Person, shown: Person, act: Act, actor: Callable[[], str], *, masked: bool
) -> None:
    if masked and found.state == "live":
        asked = st.button(
            "Reveal",
            key="reveal",
            icon=":material/visibility:",
            help="Shows e-mail, phone and ids whole, for a quarter of an hour.",
        )
        if asked:
            _reveal(found.profile_id, act, actor)
    st.download_button(
        "Download",
        data=partial(_document, found.profile_id, shown, actor, whole=not masked),
        file_name=f"{found.profile_id}.json",
        mime="application/json",
        key="download",
        icon=":material/download:",
        on_click="ignore",
    )


@st.dialog("Reveal identifiers?", icon=":material/visibility:")
def _reveal(profile_id: str, act: Act, actor: Callable[[], str]) -> None:
    """Ask for the reason."""
    frame.still_signed_in(actor)
    st.write("Your name, this profile and the reason are kept in the audit log.")
    reason = st.text_input("Why do you need them?", key="reason", max_chars=500)
    done = st.button(
        "Reveal",
        key="reveal_it",
        on_click=_revealed,
        args=(profile_id, reason, act),
    )
    if done:
        st.rerun()


def _revealed(profile_id: str, reason: str, act: Act) -> None:
    governance = app.platform().governance

    def reveal(actor: str) -> None:
        governance.reveal(actor, profile_id, reason)
        masks.reveal(profile_id)

    act(reveal, done="Identifiers are shown for a quarter of an hour.")


def _document(profile_id: str, shown: Person, actor: Callable[[], str], *, whole: bool) -> str:
    """Return the document as it is shown, once the audit log has it."""
    app.platform().governance.download(actor(), profile_id, whole=whole)
    return json.dumps(shown.body, ensure_ascii=False, indent=2)
