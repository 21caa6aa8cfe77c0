"""Overview: how many people, how fresh, and what happened day by day."""

from cdp.ui import app, auth, frame
from cdp.ui import overview as ui

auth.require()
report = app.report("overview")
if report is None:
    with frame.head("Overview"):
        pass
    frame.not_refreshed()
else:
    with frame.head("Overview", ui.as_of(report), badges=(ui.fresh_badge(report),)):
        pass
    ui.numbers(report)
    ui.charts_of(report)
