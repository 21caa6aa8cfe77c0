"""A profile: who it is, what happened, how it was joined, what was permitted."""

from functools import partial

import streamlit as st

from cdp.ui import auth, profile_page

user = auth.require()
profile_page.draw(
    st.query_params.get("profile", ""),
    is_admin=user.is_admin,
    act=auth.act,
    actor=partial(auth.actor, user),
)
