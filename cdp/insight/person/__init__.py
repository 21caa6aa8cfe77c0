"""One profile, as its page shows it: the document, where its fields come from, what happened.

One module a question. `raw` and `concealer` are where identifiers are masked; a page that shows
masked fields asks `fields` about a person whose body is what `raw` returned.
"""

from cdp.insight.person.concealment import concealer, raw
from cdp.insight.person.document import Identifier, Person, PurposeState, State, find, person
from cdp.insight.person.origins import ORIGINS, Field, Origin, fields
from cdp.insight.person.timelines import (
    METRICS,
    Timeline,
    Window,
    profile_window,
    timeline,
    trends,
)

__all__ = [
    "METRICS",
    "ORIGINS",
    "Field",
    "Identifier",
    "Origin",
    "Person",
    "PurposeState",
    "State",
    "Timeline",
    "Window",
    "concealer",
    "fields",
    "find",
    "person",
    "profile_window",
    "raw",
    "timeline",
    "trends",
]
