"""Where each field of a profile comes from, and why others are absent."""

import json
from typing import Any

import streamlit as st

from cdp.domain.policy import Policy
from cdp.insight import person
from cdp.insight.person import Person
from cdp.ui.profile.consent import state_column


def origins(shown: Person, policy: Policy) -> None:
    """Draw where each field comes from, and why others are absent.

    Args:
        shown: with the body that may be shown.
    """
    rows = person.fields(shown, policy)
    st.caption("Long texts are cut; a double click on one shows the whole of it.")
    st.dataframe(
        [
            {
                "Field": row.path,
                "Value": f"absent: {row.absent}" if row.absent else _text(row.value),
                "Comes from": row.origin.rule if row.origin else "written by another system",
                "Made by": f"{row.origin.statement}.sql" if row.origin else "",
                "Purpose": row.purpose or "",
                "Consent": [row.consent] if row.consent else [],
                "Run": row.run or "",
            }
            for row in rows
        ],
        hide_index=True,
        key="origins",
        height=520,
        column_config={
            "Consent": state_column("Consent"),
            # So that every column is in sight at 1,440 pixels.
            "Value": st.column_config.TextColumn(width=180),
            "Comes from": st.column_config.TextColumn(width=250),
            "Run": st.column_config.TextColumn(width=90),
        },
        alt="Origin of each field",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
