"""Sign-in: passwords, or an identity provider where `[auth]` is configured; roles are our own.

A session lasts until its account signs out anywhere, changes, or is disabled: each run of a page
reads the account again. The cookie only carries a session over a reload.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bcrypt
import jwt
import streamlit as st
from streamlit.errors import StreamlitAPIException, StreamlitSecretNotFoundError
from streamlit_authenticator.controllers import AuthenticationController

from cdp.domain.access import NotPermitted, Role
from cdp.domain.errors import CdpError
from cdp.domain.payload import timestamp
from cdp.governance.accounts import MAX_PASSWORD_BYTES, Account
from cdp.governance.actions import permits
from cdp.ui.app import own_pages, platform
from cdp.ui.frame import FLASH
from cdp.ui.words import plain

COOKIE: Final = "cdp_session"
LASTS: Final = timedelta(days=7)

_USERNAME: Final = "cdp.username"
_SINCE: Final = "cdp.signed_in_at"
_TOKEN: Final = "cdp.token"  # noqa: S105 - the name of what holds it
_LEFT: Final = "cdp.signed_out"
_OVER: Final = "cdp.over"
_ROUTED: Final = "cdp.routed"
_WRONG: Final = (
    "That did not work: the username or the password is wrong, or the account is locked after too "
    "many attempts. Wait 15 minutes, or ask an admin."
)
# What a password is compared with where there is no account, so that both take as long.
_NOBODY: Final = bcrypt.hashpw(b"nobody", bcrypt.gensalt(12))


@dataclass(frozen=True, slots=True)
class User:
    """Who is signed in, as the store knows them now."""

    username: str
    name: str
    role: Role
    since: str

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


def sign_in() -> User | None:
    """Return who is signed in, or draw the form and return None."""
    user = current_user()
    if user is None and _USERNAME in st.session_state:
        # It ended elsewhere. Nothing of it is left to whoever signs in here next.
        st.session_state.clear()
        st.session_state[_OVER] = True
    return user or _from_cookie() or _from_provider() or _form()


def routed() -> None:
    """Say that Home.py runs the page: without it, a page is run as a file of its own."""
    st.session_state[_ROUTED] = True


def require(role: Role = Role.MARKETER) -> User:
    """Return who is signed in; the first line of every page, for nothing else guards it.

    Stops the page for a visitor, and for a role that does not suffice. Fragments and dialogs run
    without their page, and begin with it, too.
    """
    own_pages()
    at_home = st.session_state.get(_ROUTED)
    try:
        user = current_user() if at_home else None
    except CdpError as error:  # nobody can tell
        st.error(plain(error), icon=":material/error:")
        st.stop()
    if user is None:
        # The session ended while the page was open; Home.py draws the form. A fragment's clock may
        # cut that short and find a session that was emptied already.
        if at_home or st.session_state.get(_OVER) or st.session_state.get(_LEFT):
            st.rerun()
        with suppress(StreamlitAPIException):  # no Home.py: the server was told to run this page
            st.switch_page("Home.py")
        st.error("Sign in first.", icon=":material/lock:")
        st.stop()
    if role is Role.ADMIN and not user.is_admin:
        st.error(
            "This page is for admins; your role is marketer. Ask an admin if you need it.",
            icon=":material/lock:",
        )
        st.stop()
    return user


def current_user() -> User | None:
    """Return who this session belongs to; None where it is over."""
    username = st.session_state.get(_USERNAME)
    account = platform().accounts.get(username) if username else None
    return _user(account, st.session_state.get(_SINCE, ""))


def sign_out_button() -> None:
    """Draw the button that ends every session of the account, and what keeps the cookie."""
    with st.container(gap=None, width="content"):
        st.button("Sign out", key="sign_out", icon=":material/logout:", on_click=_sign_out)
        if token := st.session_state.get(_TOKEN):
            _set_cookie(token, LASTS)


def act(action: Callable[..., Any], *args: Any, done: str = "", **more: Any) -> None:
    """Take an action for whoever is signed in at this moment; what widgets call back.

    No page's guard runs before a callback: a session that is over acts no more, and the action
    reads the role itself. How it went is shown by the page's head.
    """
    try:
        user = current_user()
        if user is None:
            if username := st.session_state.get(_USERNAME):
                platform().governance.session_over(username)
            return
        action(user.username, *args, **more)
    except CdpError as error:
        st.session_state[FLASH] = ("error", str(error))
    else:
        st.session_state[FLASH] = ("done", done)


def actor(user: User) -> str:
    """Return the username of *user*, whose session must not be over by now; for work elsewhere.

    Raises:
        NotPermitted: it is over; the attempt is in the audit log.
    """
    if _user(platform().accounts.get(user.username), user.since) is None:
        platform().governance.session_over(user.username)
        raise NotPermitted("Your session is over; sign in again.")
    return user.username


# --- sessions -------------------------------------------------------------------------------------


def _user(account: Account | None, since: str) -> User | None:
    if account is None or account.role is None or not permits(account, Role.MARKETER):
        return None
    if since <= account.signed_out_at:
        return None
    return User(account.username, account.name, account.role, since)


def _begin(account: Account, since: str) -> User | None:
    st.session_state[_USERNAME] = account.username
    st.session_state[_SINCE] = since
    for how in (_LEFT, _OVER):
        st.session_state.pop(how, None)
    return _user(account, since)


def _sign_out() -> None:
    user = current_user()
    if user is not None:  # a session that is over does not end those that began since
        platform().governance.sign_out(user.username)
    st.session_state.clear()
    st.session_state[_LEFT] = True
    if _provider() and st.user.is_logged_in:
        st.logout()  # Streamlit's cookie and, where the provider can, its session


# --- the cookie -----------------------------------------------------------------------------------


def _from_cookie() -> User | None:
    """Return who the cookie says, if its session is not over."""
    text = st.context.cookies.get(COOKIE)
    if not text or st.session_state.get(_LEFT):
        return None
    try:
        claims = jwt.decode(
            text, platform().cookie_key, algorithms=["HS256"], options={"require": ["exp", "sub"]}
        )
    except jwt.InvalidTokenError:  # made up, expired, or signed with a key of before
        return None
    account = platform().accounts.get(claims["sub"])
    since = str(claims.get("since", ""))
    return _begin(account, since) if account and _user(account, since) else None


def _set_cookie(text: str, lasts: timedelta) -> None:
    """Have the browser keep *text*, a token of ours or nothing, for so long.

    By a script of one line: a component would run the page again, and close a dialog that was
    opened meanwhile.
    """
    secure = "; Secure" if str(st.context.url or "").startswith("https:") else ""
    kept = f"{COOKIE}={text}; Path=/; Max-Age={lasts.total_seconds():.0f}; SameSite=Strict{secure}"
    st.html(f"<script>document.cookie = {kept!r}</script>", unsafe_allow_javascript=True)


# --- an identity provider -------------------------------------------------------------------------


def _provider() -> bool:
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False


def _from_provider() -> User | None:
    """Return whom the provider vouches for, if an account has their e-mail address."""
    if not _provider() or not st.user.is_logged_in:
        return None
    claims: dict[str, Any] = st.user.to_dict()
    account = None
    if claims.get("email_verified") is True:
        account = platform().accounts.of_email(str(claims.get("email") or ""))
    since = timestamp(datetime.fromtimestamp(claims.get("iat", 0), UTC))
    user = _user(account, since)
    if account is not None and user is not None:
        platform().governance.signed_in(account.username, "provider")
        return _begin(account, since)
    if account is not None and since <= account.signed_out_at:  # in another tab, or by an admin
        st.session_state[_OVER] = True
        return None
    st.error(
        "You signed in, but no account here has your e-mail address, or the provider does not say "
        "that the address is verified. Ask an admin for an account.",
        icon=":material/lock:",
    )
    st.button("Sign in as somebody else", key="provider_out", on_click=st.logout)
    return None


# --- the form -------------------------------------------------------------------------------------


def _form() -> User | None:
    slot = st.empty()
    with slot.container(horizontal_alignment="center"):
        st.space("large")
        with st.container(width=380, border=True, gap="medium"):
            st.image("static/logo.svg", width=44, alt="")
            with st.container(horizontal=True):  # where a heading has no room above it
                st.title("Composable CDP", anchor=False)
            if st.session_state.get(_LEFT):
                st.info("You are signed out, here and everywhere else.")
            elif st.session_state.get(_OVER):
                st.info("Your session is over: you signed out elsewhere, or the account changed.")
            if _provider():
                st.button(
                    "Continue with single sign-on",
                    key="provider",
                    icon=":material/key:",
                    width="stretch",
                    on_click=st.login,
                )
            account = _password_form()
        if st.session_state.get(_LEFT):
            _set_cookie("", timedelta(0))
    if account is None:
        return None
    slot.empty()
    now = datetime.now(UTC)
    since = timestamp(now)
    token = jwt.encode(
        {"sub": account.username, "since": since, "exp": now + LASTS},
        platform().cookie_key,
        algorithm="HS256",
    )
    st.session_state[_TOKEN] = token
    platform().governance.signed_in(account.username, "password")
    return _begin(account, since)


def _password_form() -> Account | None:
    with st.form("sign_in", border=False, enter_to_submit=True):
        username = st.text_input("Username", key="sign_in_username", autocomplete="username")
        password = st.text_input(
            "Password", key="sign_in_password", type="password", autocomplete="current-password"
        )
        sent = st.form_submit_button("Sign in", key="sign_in_now", width="stretch")
    if not platform().accounts.exist():
        st.info(
            "There is no account yet. Make one at the command line: "
            "`cdp user add NAME --role admin`",
            icon=":material/person_add:",
        )
    if not sent:
        return None
    account = _checked(username.strip().lower(), password.strip())
    if account is None:
        st.error(_WRONG, icon=":material/error:")
    return account


def _checked(username: str, password: str) -> Account | None:
    """Return the account whose password it is; None says nothing of why not."""
    accounts = platform().accounts
    account = accounts.get(username)
    known = account is not None and account.active and account.password is not None
    if len(password.encode()) > MAX_PASSWORD_BYTES or not password:
        return None
    if account is None or not known or not accounts.attempt(username):
        bcrypt.checkpw(password.encode(), _NOBODY)
        return None
    known_users = {"usernames": {username: {"name": account.name, "password": account.password}}}
    controller = AuthenticationController(
        known_users, auto_hash=False, secret_key=platform().cookie_key
    )
    if controller.login(username, password):
        accounts.succeeded(username)
        return account
    if accounts.locked(username):
        platform().governance.locked_out(username)
    return None
