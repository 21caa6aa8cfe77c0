"""Customer Explorer: find people, filter them, and look at one of them."""

from functools import partial

import streamlit as st

from cdp.ui import auth, customers, profile_page

user = auth.require()
actor = partial(auth.actor, user)
if profile_id := st.query_params.get("profile"):
    profile_page.draw(profile_id, is_admin=user.is_admin, act=auth.act, actor=actor)
else:
    customers.draw(is_admin=user.is_admin, actor=actor)
