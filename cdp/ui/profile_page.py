"""The page of one profile, put together."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import streamlit as st

from cdp.domain.pseudonym import pseudonym
from cdp.insight import person
from cdp.insight.person import Identifier, Person
from cdp.ui import app, frame, masks, people, words
from cdp.ui.frame import Badge, card
from cdp.ui.masks import Show
from cdp.ui.profile import consent, fields, figures, identities, timeline

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
    known = identities.known(found, version)
    withheld = masks.withheld(found)
    show, conceal = masks.of_person(found, masked, known)
    people.keep_profile(profile_id)
    people.link_to_list()
    if found.state == "unknown":
        with frame.head("No such profile"):
            pass
        _explain_state(found)
        return
    shown = replace(found, body=person.raw(found, masked, known, withheld))
    # Never an identifier: titles stay in the browser's history.
    st.set_page_config(page_title=pseudonym(found.profile_id))
    with frame.head(_title(found, show), _caption(found), _badges(found)):
        take = partial(
            _document, profile_id, known, actor, is_admin, masks.revealed_until(found.profile_id)
        )
        _actions(found, take, act, actor, masked=bool(masked - withheld))
    _explain_state(found)
    until = _until()
    figures.numbers(found, version, until)
    line, cluster = _card_row(found, version, until, show, conceal)
    with card("Consent", "The state in force for each purpose, and what decided it."):
        consent.consents(found)
    later = partial(st.caption, "Nothing before the first refresh.")
    frame.tabs(
        {
            "Events": partial(timeline.event_table, line, conceal, show) if line else later,
            "Identities": partial(identities.evidence, cluster, found, show) if cluster else later,
            "Consent history": partial(
                consent.consent_history, found, version, known, show, conceal, is_admin=is_admin
            )
            if version
            else later,
            "Fields": partial(fields.origins, shown, platform.policy),
            "Document": partial(st.json, shown.body, expanded=2),
        },
        key="details",
    )


def _title(found: Person, show: Show) -> str:
    return people.called(found.profile_id, ((i.type, i.value) for i in found.identifiers), show)


def _badges(found: Person) -> tuple[Badge, ...]:
    """Return what stands below the title."""
    shown: list[Badge] = []
    match found.state:
        case "not synchronised yet":
            shown.append(("Not synchronised yet", "orange", "sync_problem"))
        case "gone" | "deleted":
            shown.append((found.state.capitalize(), "red", "person_off"))
    match found.identity:
        case "known":
            shown.append(("Known customer", "green", "check_circle"))
        case "anonymous":
            shown.append(("Anonymous visitor", "gray", "visibility_off"))
    total = sum(found.counts.values())
    if total:
        shown.append((words.count(total, "identifier"), "blue", "hub"))
    shown += [
        (f"{told.purpose} denied", "orange", "do_not_disturb_on")
        for told in found.consent
        if told.state == "denied"
    ]
    return tuple(shown)


def _caption(found: Person) -> str:
    """Return the line of facts below the title."""
    ga4 = found.body.get("ga4")
    ga4 = ga4 if isinstance(ga4, dict) else {}
    parts = [words.plain(found.profile_id)]
    if ga4.get("country"):
        parts.append(words.plain(ga4["country"]))
    if ga4.get("first_seen"):
        parts.append(f"first seen {words.day(str(ga4['first_seen']))}")
    if ga4.get("last_seen"):
        parts.append(f"last seen {words.day(str(ga4['last_seen']))}")
    return " · ".join(parts)


def _explain_state(found: Person) -> None:
    """Say what a reader might wonder about."""
    if found.was:
        st.info(
            f"The profile {words.plain(found.was)} was merged into this one.",
            icon=":material/call_merge:",
        )
    match found.state:
        case "not synchronised yet":
            st.info(
                "Another system wrote this document and no refresh has reached it yet. It shows "
                "what is there; the next refresh that knows the person adds the rest.",
                icon=":material/sync_problem:",
            )
        case "gone":
            st.info(
                "Nothing is known of this profile any more: its consent was withdrawn, or its "
                "identifiers belong to other profiles now.",
                icon=":material/person_off:",
            )
        case "deleted":
            st.info("This profile was deleted.", icon=":material/person_off:")
        case "unknown":
            st.error(
                "There is no such profile. The link may be mistyped, or of another deployment.",
                icon=":material/person_off:",
            )


def _card_row(found: Person, version: str | None, until: date, show: Show, conceal: Any) -> Any:
    """Draw the timeline beside the identities, and return both for the tables below."""
    if version is None:
        st.info("No refresh has settled yet: there are no events and no evidence to show.")
        return None, None
    left, right = st.columns([5, 3])
    with left, card("Engagement"):
        line = timeline.engagement(found, version, until, conceal)
    with right, card("Identities"):
        cluster = identities.identities(found, version, show)
        identities.link_to_audit(found)
    return line, cluster


def _until() -> date:
    """Return the day after the last one that the warehouse has: what charts end at."""
    report = app.report("overview")
    last = report["freshness"]["last_day"] if report else None
    return (date.fromisoformat(last) if last else datetime.now(UTC).date()) + timedelta(days=1)


def _actions(
    found: Person,
    take: Callable[[], str],
    act: Act,
    actor: Callable[[], str],
    *,
    masked: bool,
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
        data=take,
        file_name=f"{found.profile_id}.json",
        mime="application/json",
        key="download",
        icon=":material/download:",
        on_click="ignore",
    )


def _reveal(profile_id: str, act: Act, actor: Callable[[], str]) -> None:
    def confirm(reason: str) -> None:
        done = st.button(
            "Reveal",
            key="reveal_it",
            on_click=_revealed,
            args=(profile_id, reason, act),
        )
        if done:
            st.rerun()

    frame.ask_why(
        "Reveal identifiers?",
        "Your name, this profile and the reason are kept in the audit log.",
        "Why do you need them?",
        confirm,
        actor=actor,
        icon="visibility",
    )


def _revealed(profile_id: str, reason: str, act: Act) -> None:
    governance = app.platform().governance

    def reveal(actor: str) -> None:
        governance.reveal(actor, profile_id, reason)
        masks.reveal(profile_id)

    act(reveal, done="Identifiers are shown for a quarter of an hour.")


def _document(
    profile_id: str,
    known: Collection[Identifier],
    actor: Callable[[], str],
    is_admin: bool,
    until: float,
) -> str:
    """Return the document as it may be shown at this moment, once the audit log has it.

    The page that offers it may be old: the reveal that it is shown by may have run out, and the
    person may have withdrawn meanwhile.

    Args:
        known: see `cdp.ui.masks.of_person`.
        until: when that reveal runs out; see `cdp.ui.masks.revealed_until`.
    """
    platform = app.platform()
    found = person.person(platform.documents, platform.policy, profile_id)
    masked, withheld = masks.masked_until(is_admin, found, until), masks.withheld(found)
    platform.governance.download(actor(), found.profile_id, whole=not masked - withheld)
    body = person.raw(found, masked, known, withheld)
    return json.dumps(body, ensure_ascii=False, indent=2)
