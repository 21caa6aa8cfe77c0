"""What the desk does about consent: decisions on request, what lapses, a person's whole history."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import streamlit as st

from cdp.domain.access import Ground
from cdp.governance.audit import redacted
from cdp.governance.desk import CHANNELS, STATES, Identifier
from cdp.insight import consent, person
from cdp.insight.requests import Entry, expiring, ledger, profiles_in, unheard
from cdp.profiles.port import DocumentStore
from cdp.ui import app, frame, masks, words
from cdp.ui.frame import card
from cdp.ui.masks import NAMES, Show
from cdp.ui.profile import identities
from cdp.ui.profile.consent import RULE, state_column
from cdp.warehouse.port import Warehouse

Act = Callable[..., None]
"""Takes an action for whoever is signed in then; see `cdp.ui.auth.act`."""

PROFILE: Final = "pages/profile.py"
_SAYS: Final = {"denied": "No", "granted": "Yes"}
_TOLD_BY: Final = {
    "email": "E-mail",
    "phone": "Phone",
    "letter": "Letter",
    "desk": "In person",
}
_ANSWER: Final = "cdp.decided"
_FIELDS: Final = ("told", "why", "notice")


# --- a decision on request ------------------------------------------------------------------------


def on_request(act: Act, *, is_admin: bool) -> None:
    """Draw the form in which admins write a decision down."""
    with card(
        "A decision on request",
        "Somebody wrote, called or came by. A No takes what it closes out of the stored profile at "
        "once, also while a refresh runs; a Yes acts with the next refresh.",
    ):
        if answer := st.session_state.pop(_ANSWER, ""):
            st.success(answer, icon=":material/check_circle:")
        if not is_admin:
            st.info(
                "Admins write decisions down: a No changes profiles at once. Ask an admin, and say "
                "who asked, how, and what for.",
                icon=":material/lock:",
            )
            return
        with st.form("decision", border=False):
            left, middle, right = st.columns(3)
            left.selectbox(
                "Identifier is", list(NAMES), key="kind", index=1, format_func=NAMES.__getitem__
            )
            middle.text_input(
                "Identifier", key="told", max_chars=500, placeholder="As they told it"
            )
            right.selectbox(
                "Purpose", list(app.platform().policy.purposes), key="about", index=None
            )
            left, middle, right = st.columns(3)
            left.selectbox("They say", STATES[::-1], key="says", format_func=_SAYS.__getitem__)
            middle.selectbox(
                "Told by", CHANNELS, key="channel", index=None, format_func=_TOLD_BY.__getitem__
            )
            right.text_input(
                "Notice",
                key="notice",
                max_chars=80,
                placeholder="Its version, if known",
                help="The version of the notice that they saw.",
            )
            st.text_input(
                "Why",
                key="why",
                max_chars=500,
                help="The audit log keeps it. Addresses and numbers in it are left out.",
            )
            st.form_submit_button(
                "Write it down",
                key="decide",
                type="primary",
                icon=":material/edit_note:",
                on_click=act,
                args=(_decide,),
                kwargs={"done": "Written down."},
            )


def _decide(actor: str) -> None:
    """Write down what the form holds, and clear what is one person's."""
    form = st.session_state
    told = app.platform().governance.decide(
        actor,
        form["kind"],
        form["told"] or "",
        form["about"] or "",
        form["says"],
        channel=form["channel"] or "",
        reason=form["why"] or "",
        notice=form["notice"] or None,
    )
    form[_ANSWER] = str(told)
    for field in _FIELDS:
        form[field] = ""


def resolve(
    torn: consent.Disagreement, act: Act, actor: Callable[[], str], *, is_admin: bool
) -> None:
    """Draw the way to resolve a disagreement, with a reason."""
    why_not = None if is_admin else "Admins resolve disagreements; ask one."
    with st.container(horizontal=True):
        for state in STATES:
            asked = st.button(
                f"Resolve as {state}",
                key=f"resolve_{state}",
                icon=f":material/{'check_circle' if state == 'granted' else 'do_not_disturb_on'}:",
                disabled=not is_admin,
                help=why_not,
            )
            if asked:
                _ask_why(torn, state, act, actor)
    if why_not:
        st.caption(why_not)


def _ask_why(torn: consent.Disagreement, state: str, act: Act, actor: Callable[[], str]) -> None:
    others = [
        Identifier(one.type, one.value)
        for one in torn.said
        if one.state in STATES and one.state != state
    ]

    def confirm(reason: str) -> None:
        done = st.button(
            f"Resolve as {state}",
            key="resolve_it",
            on_click=act,
            args=(app.platform().governance.resolve, torn.profile_id, others, torn.purpose, state),
            kwargs={"reason": reason, "done": "Written down; the next refresh weighs it."},
        )
        if done:
            st.rerun()

    frame.ask_why(
        f"Resolve as {state}?",
        f"{words.count(len(others), 'identifier')} that said otherwise of {torn.purpose} now say "
        f"{_SAYS[state]}, as the person's own decision. Your name, the profile and the reason are "
        "kept in the audit log.",
        "Why?",
        confirm,
        actor=actor,
        icon="balance",
    )


# --- what lapses, what has no effect --------------------------------------------------------------


def lapsing(warehouse: Warehouse, show: Show) -> None:
    """Draw the grants that lapse within 30 days, by purpose, and the soonest of them."""
    with card(
        "Expiring soon",
        "Grants that lapse within 30 days, of profiles whose Yes is in force. Ask again before: "
        "what a lapsed grant permitted leaves the profile.",
    ):
        found = expiring(warehouse, app.platform().policy, datetime.now(UTC))
        if not found.counts:
            st.caption("No grant lapses: no purpose of the policy has `expires`.")
            return
        with st.container(horizontal=True):
            for purpose, (grants, profiles) in found.counts.items():
                st.metric(
                    words.plain(purpose).capitalize(),
                    words.number(grants),
                    help=f"Grants, of {words.count(profiles, 'profile')}.",
                    width="content",
                )
        if not found.grants:
            st.caption("None lapses within 30 days.")
            return
        st.dataframe(
            [
                {
                    "Lapses": words.day(one.lapses_at),
                    "Purpose": one.purpose,
                    "Identifier": f"{NAMES[one.type]} {show(one.type, one.value, one.ground)}",
                    "Granted": words.day(one.at),
                    "Source": one.source,
                    "Profile": f"profile?profile={one.profile_id}&details=Consent+history",
                }
                for one in found.grants
            ],
            hide_index=True,
            key="lapsing",
            column_config={
                "Profile": st.column_config.LinkColumn(display_text=r"profile=(p_[0-9a-f]+)")
            },
            alt="Grants that lapse soon",
        )


def without_effect(warehouse: Warehouse) -> None:
    """Draw the decisions that have no effect, and why."""
    with card(
        "Decisions without effect",
        "Nobody is bound by them yet. Whose they are is not shown: the file and its line tell who "
        "may look there.",
    ):
        count, rows = unheard(warehouse, app.platform().policy)
        if not rows:
            st.caption("Every decision is of somebody who is known.")
            return
        if count > len(rows):
            st.caption(f"The newest {words.number(len(rows))} of {words.number(count)}.")
        st.dataframe(
            [
                {
                    "When": words.moment(one.at),
                    "Of": NAMES.get(one.type, one.type),
                    "Purpose": one.purpose,
                    "State": [one.state],
                    "Source": one.source,
                    "Why": one.why,
                    "Evidence": redacted(one.evidence),
                }
                for one in rows
            ],
            hide_index=True,
            key="unheard",
            column_config={"State": state_column()},
            alt="Decisions without effect",
        )


# --- a person's history ---------------------------------------------------------------------------


def of_person(documents: DocumentStore, warehouse: Warehouse, *, is_admin: bool) -> None:
    """Ask for a person and draw all that was ever said, also where no document holds them."""
    policy = app.platform().policy
    with card(
        "A person's consent",
        "Any identifier: e-mail, phone, user, client, profile. The ledger is asked, too: it knows "
        "who said no, and whom no document holds.",
    ):
        typed = st.text_input(
            "Identifier", key="who", icon=":material/search:", label_visibility="collapsed"
        )
        if not typed:
            return
        held = person.find(documents, policy, typed)
        said = ledger(warehouse, documents, policy, typed)
        if held and not said:  # the id of a profile that was merged
            said = ledger(warehouse, documents, policy, held[0])
        found = list(dict.fromkeys([*held, *profiles_in(said)]))[:5]
        if not held:
            st.caption(
                "Nobody has this identifier, or consent does not permit to keep it."
                + (" This is what was said for it." if said else "")
            )
        shows = {one: _show(documents, one, is_admin=is_admin) for one in found}
        for profile_id in found:
            st.page_link(
                PROFILE,
                label=words.plain(profile_id),
                icon=":material/person:",
                query_params={"profile": profile_id},
            )
        # What was decided since the last run is not in the warehouse's state yet.
        newer = {(one.purpose, one.type, one.value) for one in said if not one.weighed}
        in_force = {
            (told.at, told.purpose, told.state, told.source, told.type, told.value)
            for profile_id in found
            for told in consent.history(warehouse, policy, profile_id)
            if told.in_force and (told.purpose, told.type, told.value) not in newer
        }
        nobodys = masks.shower(masks.masked(is_admin))
        _table(said, in_force, lambda one: _shown(one, shows, nobodys), is_admin=is_admin)


def _show(documents: DocumentStore, profile_id: str, *, is_admin: bool) -> Show:
    """Return what shows a profile's identifiers, by its document as it is now."""
    platform = app.platform()
    someone = person.person(documents, platform.policy, profile_id)
    known = identities.known(someone, platform.published_version())
    show, _ = masks.of_person(someone, masks.masked(is_admin, someone), known)
    return show


def _shown(one: Entry, shows: dict[str, Show], nobodys: Show) -> str:
    show = shows.get(one.profile_id or "")
    if show is None:
        return nobodys(one.type, one.value, Ground(None))
    return show(one.type, one.value, one.ground)


def _table(
    said: list[Entry], in_force: set[Any], value: Callable[[Entry], str], *, is_admin: bool
) -> None:
    if not said:
        st.caption("Nothing was ever said.")
        return
    st.caption(RULE)
    st.dataframe(
        [
            {
                "When": words.moment(one.at),
                "Purpose": one.purpose,
                "State": [one.state],
                "Source": one.source,
                "Kind": "decision" if one.explicit else "signal",
                "In force": _force(one, in_force),
                "Identifier": f"{NAMES[one.type]} {value(one)}",
                "Evidence": redacted(one.evidence),
                **({"Told by": one.told_by, "Notice": one.notice} if is_admin else {}),
            }
            for one in said
        ],
        hide_index=True,
        key="ledger",
        column_config={"State": state_column()},
        alt="All that was said",
    )


def _force(one: Entry, in_force: set[Any]) -> str:
    if not one.weighed:
        return "at once" if one.state == "denied" else "with the next refresh"
    key = (one.at, one.purpose, one.state, one.source, one.type, one.value)
    return "in force" if key in in_force else ""
