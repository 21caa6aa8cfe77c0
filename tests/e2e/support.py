"""The command line on a home of its own, as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdp.deployments.build import Platform, build
from cdp.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NO_CONSENT_MODE = ROOT / "docs" / "examples" / "no-consent-mode.toml"


@dataclass(frozen=True)
class Cdp:
    """`cdp` with its data below *home*."""

    home: Path
    env: Mapping[str, str]

    def run(self, *args: str | Path, code: int = 0, typed: str | None = None, **env: str) -> str:
        """Run a command, insist on its exit code, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "cdp", *map(str, args)],
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environ(env),
            timeout=300,
            check=False,
        )
        assert done.returncode == code, (done.stdout + done.stderr)[-3000:]
        return done.stdout + done.stderr

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "CDP_HOME": str(self.home), **self.env, **more}

    def refresh(self, *args: str, code: int = 0, **env: str) -> dict[str, Any]:
        """Refresh and return the run's outcome."""
        return json.loads(self.run("refresh", "--json", *args, code=code, **env).splitlines()[-1])

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--json"))

    @property
    def platform(self) -> Platform:
        given = {name.removeprefix("CDP_").lower(): value for name, value in self.env.items()}
        return build(Settings.load(home=self.home, **given))

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return every live profile document, by id."""
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        while True:
            page = self.platform.documents.page("profiles", after=cursor, limit=1000)
            found |= {document.id: document.body for document in page.documents}
            cursor = page.cursor
            if cursor is None:
                return {id: body for id, body in found.items() if _live(body)}


def _live(body: Mapping[str, Any]) -> bool:
    return body.get("sync", {}).get("state", "live") == "live"


def event(
    day: str,
    client: str | None,
    *,
    at: int = 0,
    name: str = "page_view",
    user: str | None = None,
    analytics: str | None = "Yes",
    ads: str | None = "Yes",
    session: int | None = 1,
    **more: Any,
) -> dict[str, Any]:
    """Return one row of the export, *at* seconds after noon of *day* (YYYYMMDD)."""
    noon = datetime.strptime(day + "12", "%Y%m%d%H").replace(tzinfo=UTC)
    params = [{"key": "page_location", "value": {"string_value": "https://www.example.com/"}}]
    if session is not None:
        params.append({"key": "ga_session_id", "value": {"int_value": str(session)}})
    row = {
        "event_date": day,
        "event_timestamp": str(int((noon.timestamp() + at) * 1_000_000)),
        "event_name": name,
        "event_params": params,
        "user_pseudo_id": client,
        "user_id": user,
        "stream_id": "1",
        "platform": "WEB",
        "privacy_info": {"analytics_storage": analytics, "ads_storage": ads},
        "geo": {"country": "Germany"},
        "device": {"category": "mobile"},
        "traffic_source": {"source": "google", "medium": "organic"},
        **more,
    }
    return {key: value for key, value in row.items() if value is not None}
