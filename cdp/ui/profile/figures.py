"""The figures of a profile, with how each went."""

from datetime import date
from typing import Any

import streamlit as st

from cdp.insight import person
from cdp.insight.person import Person
from cdp.ui import app, words
from cdp.ui.frame import kpi


@app.per_version
def _trends(version: str, profile_id: str, until: date) -> dict[str, Any]:
    del version
    platform = app.platform()
    return person.trends(app.need_warehouse(), profile_id, platform.policy, until)


def numbers(found: Person, version: str | None, until: date) -> None:
    """Draw the figures of the document, with how each went."""
    ga4 = found.body.get("ga4")
    ga4 = ga4 if isinstance(ga4, dict) else {}
    if not ga4:
        return
    trend = _trends(version, found.profile_id, until) if version else None

    def drawn(label: str, name: str, shown: str, help: str, kind: Any = "bar") -> None:
        withheld = trend is None or name in trend["withheld"]
        now = 0 if withheld or trend is None else trend["last_30"][name]
        before = 0 if withheld or trend is None else trend["before_30"][name]
        kpi(
            label,
            shown,
            help,
            delta=words.change(now, before) if not withheld else None,
            note="30 days on the 30 before" if before else "no earlier month to compare",
            chart=[day[name] or 0 for day in trend["days"][-30:]] if trend and not withheld else (),
            chart_type=kind,
        )

    with st.grid(4, min_column_width=155, gap="small"):
        drawn(
            "Revenue",
            "revenue",
            words.money(_number(ga4.get("revenue"))),
            "Of all purchases, each transaction once, in the property's currency.",
        )
        drawn(
            "Purchases",
            "purchases",
            words.number(_number(ga4.get("purchases"))),
            "Each transaction once, however often and from whichever device it was told.",
        )
        drawn(
            "Sessions",
            "sessions",
            words.number(_number(ga4.get("sessions"))),
            "Sessions on all devices; one that crosses midnight is one session.",
        )
        engaged = _number(ga4.get("engagement_ms"))
        drawn(
            "Engagement",
            "engagement_ms",
            words.duration(engaged / 1000 if engaged is not None else None),
            "Time in which a page or screen was in front.",
            "area",
        )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
