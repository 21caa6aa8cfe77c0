"""Who gets in, who does not, and when they are out again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import HOME_PAGE, Platform
from cdp.domain.access import Role
from cdp.domain.payload import timestamp
from cdp.governance.accounts import ATTEMPTS
from cdp.profiles.port import Delete
from cdp.ui import app, auth
from tests.pages.support import ACCOUNTS, PAGES, SECONDS, fill, inside, open_page, visit
from tests.people import PASSWORD, audited, change, tamper
from tests.waiting import wait

SignedIn = Callable[[Role], AppTest]

# What the form is made of; nothing of a page is.
FORM = {"SpecialBlock", "Block", "Space", "Image", "Title", "TextInput", "Button", "Info"}


def drawn(at: AppTest) -> set[str]:
    return {type(node).__name__ for node in at.main} | {type(node).__name__ for node in at.sidebar}


def errors(at: AppTest) -> list[str]:
    return [str(error.value) for error in at.error]


# --- the form -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_the_right_password_opens_the_first_page(
    deployment: Platform, signed_in: SignedIn, role: Role
) -> None:
    at = signed_in(role)
    assert not at.text_input
    name = ACCOUNTS[role]
    assert audited(deployment.documents, "actor", "action", "outcome", "details") == [
        (name, "session:begin", "done", {"how": "password"})
    ]
    assert inside(at.run()), "and stays open"


def test_a_username_is_taken_in_any_case_and_with_space_around_it() -> None:
    assert inside(fill(visit(), " ADA ", PASSWORD + " "))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada", "wrong horse battery"),
        ("ada", PASSWORD[:-1]),
        ("ada", ""),
        ("ada", PASSWORD + "x" * 60),
        ("ada", "\0" + PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("../users/ada", PASSWORD),
        ("dora", PASSWORD),
        ("otto", PASSWORD),
        ("norole", PASSWORD),
    ],
)
def test_whatever_is_wrong_is_told_in_the_same_words_and_nobody_is_in(
    deployment: Platform, username: str, password: str
) -> None:
    from tests.people import add

    documents = deployment.documents
    for other in ("dora", "norole"):
        add(documents, other, Role.ADMIN)
    add(documents, "otto", email="otto@example.com", password=None)
    change(documents, "dora", disabled=True)
    change(documents, "norole", role=None)
    at = fill(visit(), username, password)
    assert not inside(at)
    assert errors(at) == [
        "That did not work: the username or the password is wrong, or the account is locked after "
        "too many attempts. Wait 15 minutes, or ask an admin."
    ]
    assert drawn(at) == (FORM - {"Info"}) | {"Error"}
    assert audited(documents, "action") == []


def test_five_wrong_passwords_from_anywhere_lock_the_account_out(deployment: Platform) -> None:
    sessions = [visit() for _ in range(3)]
    for number in range(ATTEMPTS):
        assert not inside(fill(sessions[number % 3], "ada", f"wrong password {number}"))
    for at in (*sessions, visit()):
        fill(at, "ada", PASSWORD)
        assert not inside(at)
        assert "locked after too many attempts" in errors(at)[0]
    assert audited(deployment.documents, "actor", "action", "outcome") == [
        ("ada", "session:locked", "refused")
    ]
    assert inside(fill(visit(), "max", PASSWORD)), "others are not locked out"
    change(deployment.documents, "ada", password=deployment.accounts.hash("another password"))
    assert inside(fill(visit(), "ada", "another password"))


def test_the_right_password_in_time_forgets_the_wrong_ones() -> None:
    for _ in range(2):
        at = visit()
        for number in range(ATTEMPTS - 1):
            fill(at, "ada", f"wrong password {number}")
        assert inside(fill(at, "ada", PASSWORD))


def test_where_there_is_no_account_yet_the_command_is_told(deployment: Platform) -> None:
    assert not visit().info
    deployment.documents.commit([Delete("users", name) for name in ACCOUNTS.values()])
    (told,) = visit().info
    assert "`cdp user add NAME --role admin`" in told.value


# --- the end of a session -------------------------------------------------------------------------


def test_signing_out_ends_every_session_of_the_account_and_no_other(
    deployment: Platform, signed_in: SignedIn
) -> None:
    here, there, other = signed_in(Role.ADMIN), signed_in(Role.ADMIN), signed_in(Role.MARKETER)
    here.button(key="sign_out").click().run()
    assert not inside(here)
    assert "signed out, here and everywhere else" in here.info[0].value
    there.run()
    assert not inside(there)
    assert "Your session is over" in there.info[0].value
    assert inside(other.run())
    assert inside(fill(there, "ada", PASSWORD))
    assert not inside(here.run())


def test_a_session_that_is_over_does_not_end_those_that_began_since(
    deployment: Platform, signed_in: SignedIn
) -> None:
    old = signed_in(Role.ADMIN)
    change(deployment.documents, "ada", name="Ada")
    new = signed_in(Role.ADMIN)
    old.button(key="sign_out").click().run()
    assert not inside(old)
    assert inside(new.run())


def end_by(**more: Any) -> Callable[[Platform], None]:
    return lambda platform: change(platform.documents, "ada", **more)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(end_by(password="$2b$04$" + "x" * 53), id="another password"),
        pytest.param(end_by(disabled=True), id="disabled"),
        pytest.param(end_by(role=Role.MARKETER), id="another role"),
        pytest.param(end_by(role=None), id="no role"),
        pytest.param(
            lambda platform: tamper(platform.documents, "ada", lambda b: b.update(role="owner")),
            id="a role that nobody knows",
        ),
        pytest.param(
            lambda platform: platform.documents.commit([Delete("users", "ada")]), id="no account"
        ),
    ],
)
@pytest.mark.parametrize("page", ["overview", "pipeline"])
def test_a_change_of_the_account_ends_its_session_at_the_next_run(
    deployment: Platform, signed_in: SignedIn, end: Callable[[Platform], None], page: str
) -> None:
    at = open_page(signed_in(Role.ADMIN), Path(f"{page}.py"))
    at.session_state["revealed"] = "what ada saw"
    end(deployment)
    at.run()
    assert not at.exception
    assert not inside(at)
    assert drawn(at) == FORM
    assert "revealed" not in at.session_state, "whoever is next finds nothing of it"


def test_a_role_that_is_less_now_shows_less_at_the_next_run(
    deployment: Platform, signed_in: SignedIn
) -> None:
    at = open_page(signed_in(Role.ADMIN), Path("pipeline.py"))
    assert not at.button(key="start").disabled
    tamper(deployment.documents, "ada", lambda body: body.update(role="marketer"))
    assert at.run().button(key="start").disabled
    assert "for admins" in errors(open_page(at, Path("audit.py")))[0]


# --- what an old page can still send --------------------------------------------------------------


def at_the_dialog(signed_in: SignedIn) -> AppTest:
    """An admin's session that shows the button which starts a refresh."""
    at = open_page(signed_in(Role.ADMIN), Path("pipeline.py"))
    at.button(key="start").click().run()
    assert at.button(key="start_it")
    return at


def test_an_admin_starts_a_refresh_through_the_dialog(
    deployment: Platform, signed_in: SignedIn
) -> None:
    at_the_dialog(signed_in).button(key="start_it").click().run()
    (run,) = deployment.executions.list()
    assert run.started_by == "ada"
    assert wait(deployment.executions, run.id).state.ended
    assert audited(deployment.documents, "outcome", action="refresh:start") == [
        ("begun",),
        ("done",),
    ]


@pytest.mark.parametrize(
    ("lose", "row"),
    [
        pytest.param(
            lambda documents: tamper(documents, "ada", lambda body: body.update(role="marketer")),
            ("refresh:start", "refused"),
            id="a lesser role",
        ),
        pytest.param(
            lambda documents: change(documents, "ada", role=Role.MARKETER),
            ("session:over", "refused"),
            id="another role, and its sessions ended",
        ),
        pytest.param(
            lambda documents: change(documents, "ada", role=None),
            ("session:over", "refused"),
            id="no role",
        ),
        pytest.param(
            lambda documents: change(documents, "ada", disabled=True),
            ("session:over", "refused"),
            id="disabled",
        ),
        pytest.param(
            lambda documents: change(documents, "ada", name="Ada"),
            ("session:over", "refused"),
            id="signed out elsewhere, and still an admin",
        ),
    ],
)
def test_the_buttons_callback_of_before_does_nothing_but_leave_a_refused_row(
    deployment: Platform, signed_in: SignedIn, lose: Callable[[Any], None], row: tuple[str, str]
) -> None:
    at = at_the_dialog(signed_in)
    lose(deployment.documents)
    at.button(key="start_it").click().run()
    assert not at.exception
    assert deployment.executions.list() == []
    assert audited(deployment.documents, "actor", "action", "outcome")[1:] == [("ada", *row)]


def test_a_session_that_nobody_signed_in_to_acts_not_at_all(
    deployment: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[str] = []
    monkeypatch.setattr(st, "session_state", {})
    auth.act(acted.append)
    assert acted == []
    assert audited(deployment.documents, "action") == []


# --- every page, by every way ---------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_run_as_a_file_of_its_own_shows_nothing(page: Path) -> None:
    at = AppTest.from_file(str(page), default_timeout=SECONDS).run()
    assert not at.exception
    assert errors(at) == ["Sign in first."]
    assert drawn(at) == {"SpecialBlock", "Error"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_visitor_sees_the_form_whatever_the_address(page: Path) -> None:
    first = AppTest.from_file(str(HOME_PAGE), default_timeout=SECONDS)
    first.switch_page(f"pages/{page.name}").run()
    for at in (first, open_page(visit(), page)):
        assert not at.exception
        assert not inside(at)
        assert drawn(at) == FORM - {"Info"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize("role", Role)
def test_every_page_opens_for_whom_it_is_before_anything_was_refreshed(
    signed_in: SignedIn, page: Path, role: Role
) -> None:
    at = open_page(signed_in(role), page)
    if page.stem == "audit" and role is Role.MARKETER:
        assert errors(at) == [
            "This page is for admins; your role is marketer. Ask an admin if you need it."
        ]
        assert not at.title
        assert not at.dataframe
    else:
        assert errors(at) == (
            ["There is no such profile. The link may be mistyped, or of another deployment."]
            if page.stem == "profile"
            else []
        )
        assert len(at.title) == 1


def test_a_marketer_is_told_why_nothing_can_be_started(signed_in: SignedIn) -> None:
    at = open_page(signed_in(Role.MARKETER), Path("pipeline.py"))
    assert at.button(key="start").disabled
    assert any("needs the role admin" in caption.value for caption in at.caption)


def test_an_admin_reads_in_the_audit_log_who_signed_in(signed_in: SignedIn) -> None:
    signed_in(Role.MARKETER)
    at = open_page(signed_in(Role.ADMIN), Path("audit.py"))
    rows = at.dataframe[0].value
    assert list(zip(rows["Who"], rows["Action"], strict=True)) == [
        ("ada", "Sign in"),
        ("max", "Sign in"),
    ]


# --- the cookie -----------------------------------------------------------------------------------


@contextmanager
def cookie(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every session come with this cookie; AppTest cannot send one."""
    with monkeypatch.context() as patch:
        patch.setattr(type(st.context), "cookies", {auth.COOKIE: text})
        yield


def signed(platform: Platform, *, key: str | None = None, **claims: Any) -> str:
    now = datetime.now(UTC)
    given = {"sub": "ada", "since": timestamp(now), "exp": now + timedelta(days=1), **claims}
    told = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(told, key or platform.cookie_key, algorithm="HS256")


def test_the_cookie_that_signing_in_left_opens_another_session_until_it_is_over(
    deployment: Platform, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = signed_in(Role.ADMIN)
    text = at.session_state["cdp.token"]
    with cookie(text, monkeypatch):
        another = visit()
        assert inside(another)
        assert PASSWORD not in text
        another.button(key="sign_out").click().run()
        assert not inside(another), "its own cookie does not sign it in again"
        assert not inside(another.run())
        assert not inside(visit())
    assert not inside(at.run())


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(end_by(disabled=True), id="disabled"),
        pytest.param(end_by(role=None), id="no role"),
        pytest.param(end_by(password="$2b$04$" + "x" * 53), id="another password"),
        pytest.param(
            lambda platform: platform.documents.commit([Delete("users", "ada")]), id="no account"
        ),
    ],
)
def test_a_cookie_of_before_a_change_opens_nothing(
    deployment: Platform,
    signed_in: SignedIn,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Platform], None],
) -> None:
    text = signed_in(Role.ADMIN).session_state["cdp.token"]
    end(deployment)
    with cookie(text, monkeypatch):
        assert not inside(visit())


def forged(platform: Platform) -> dict[str, str]:
    now = datetime.now(UTC)
    claims = {"sub": "ada", "since": timestamp(now), "exp": now + timedelta(days=1)}
    good = signed(platform)
    header, body, signature = good.split(".")
    return {
        "another key": signed(platform, key="0" * 64),
        "no algorithm": jwt.encode(claims, None, algorithm="none"),
        "another algorithm": jwt.encode(claims, platform.cookie_key, algorithm="HS512"),
        "no signature": f"{header}.{body}.",
        "another's body": f"{header}.{signed(platform, sub='max').split('.')[1]}.{signature}",
        "expired": signed(platform, exp=now - timedelta(seconds=1)),
        "no end": signed(platform, exp=None),
        "nobody": signed(platform, sub=None),
        "no such account": signed(platform, sub="nobody"),
        "no beginning": signed(platform, since=None),
        "no token": "ada",
        "no text": "ü\n",
    }


@pytest.mark.parametrize(
    "kind",
    [
        "another key",
        "no algorithm",
        "another algorithm",
        "no signature",
        "another's body",
        "expired",
        "no end",
        "nobody",
        "no such account",
        "no beginning",
        "no token",
        "no text",
    ],
)
def test_a_cookie_that_we_did_not_sign_so_opens_nothing(
    deployment: Platform, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with cookie(signed(deployment), monkeypatch):
        assert inside(visit()), "one that is right does"
    with cookie(forged(deployment)[kind], monkeypatch):
        assert not inside(visit())


# --- an identity provider -------------------------------------------------------------------------

PROVIDER = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "0" * 64,
    "client_id": "console",
    "client_secret": "0" * 64,
    "server_metadata_url": "http://127.0.0.1:1/.well-known/openid-configuration",
}


MISSING: Any = object()


def vouched(email: str | None = "ada@example.com", **claims: Any) -> AppTest:
    """Return the session of somebody whom the provider signed in."""
    at = AppTest.from_file(str(HOME_PAGE), default_timeout=SECONDS)
    at.secrets["auth"] = PROVIDER
    issued = int(datetime.now(UTC).timestamp())
    told = {"email": email, "email_verified": True, "iat": issued, **claims}
    at.user = {"is_logged_in": True, **{n: v for n, v in told.items() if v is not MISSING}}
    at.run()
    assert not at.exception
    return at


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
def test_whom_the_provider_vouches_for_comes_in_with_our_role(
    deployment: Platform, email: str
) -> None:
    at = vouched(email, role="owner", roles=["admin"])
    assert inside(at)
    assert open_page(at, Path("audit.py")).title
    assert audited(deployment.documents, "actor", "details") == [("ada", {"how": "provider"})]
    marketer = vouched("max@example.com", role="admin", roles=["admin"])
    assert errors(open_page(marketer, Path("audit.py")))


@pytest.mark.parametrize(
    ("email", "claims"),
    [
        ("eve@example.com", {}),
        ("", {}),
        (None, {}),
        ("ada@example.com", {"email_verified": False}),
        ("ada@example.com", {"email_verified": "true"}),
        ("ada@example.com", {"email_verified": None}),
        ("ada@example.com", {"email_verified": MISSING}),
    ],
)
def test_whom_no_account_knows_is_told_so_and_stays_out(
    deployment: Platform, email: str | None, claims: dict[str, Any]
) -> None:
    at = vouched(email, **claims)
    assert not inside(at)
    assert "no account here has your e-mail address" in errors(at)[0]
    assert at.button(key="provider_out")
    assert drawn(at) <= FORM | {"Error"}
    assert audited(deployment.documents, "action") == []


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(end_by(disabled=True), id="disabled"),
        pytest.param(end_by(role=None), id="no role"),
        pytest.param(end_by(name="Ada"), id="signed out since"),
    ],
)
def test_the_providers_word_of_before_a_change_opens_nothing(
    deployment: Platform, end: Callable[[Platform], None]
) -> None:
    before = int(datetime.now(UTC).timestamp())
    at = vouched(iat=before)
    assert inside(at)
    end(deployment)
    assert not inside(at.run())
    assert not inside(vouched(iat=before))


def test_signing_out_ends_the_providers_sign_in_here_too(deployment: Platform) -> None:
    at = vouched()
    at.button(key="sign_out").click().run()
    assert not at.exception
    assert not at.user["is_logged_in"]
    for _ in range(2):
        assert not inside(at)
        assert errors(at) == []
        assert "signed out, here and everywhere else" in at.info[0].value
        assert at.button(key="provider")
        at.run()


def test_the_providers_word_of_before_a_sign_out_elsewhere_asks_to_sign_in_again(
    deployment: Platform,
) -> None:
    vouched().button(key="sign_out").click().run()
    at = vouched(iat=int(datetime.now(UTC).timestamp()) - 1)
    assert not inside(at)
    assert errors(at) == []
    assert "Your session is over" in at.info[0].value
    assert at.button(key="provider")


def test_a_visitor_is_offered_the_provider_and_the_form() -> None:
    at = AppTest.from_file(str(HOME_PAGE), default_timeout=SECONDS)
    at.secrets["auth"] = PROVIDER
    at.user = {"is_logged_in": False}
    at.run()
    assert not inside(at)
    assert at.button(key="provider").label == "Continue with single sign-on"
    assert inside(fill(at, "ada", PASSWORD))


def test_without_a_provider_its_word_counts_for_nothing() -> None:
    at = AppTest.from_file(str(HOME_PAGE), default_timeout=SECONDS)
    at.user = {"is_logged_in": True, "email": "ada@example.com"}
    assert not inside(at.run())


def test_the_deployment_that_pages_read_is_the_tests(deployment: Platform) -> None:
    visit()
    assert app.platform().settings.home == deployment.settings.home


def test_what_finds_its_session_emptied_has_the_whole_page_drawn_anew() -> None:
    """A fragment's clock may cut the drawing of the form short, and run on its own."""

    def fragment() -> None:
        import streamlit as st

        from cdp.ui import auth

        st.session_state["runs"] = st.session_state.get("runs", 0) + 1
        if st.session_state["runs"] < 3:
            auth.require()

    at = AppTest.from_function(fragment)
    at.session_state["cdp.over"] = True
    at.run()
    assert at.session_state["runs"] == 3
    assert not at.error
