"""The deployment on Google Cloud before it gets there: settings, credentials, how often it asks."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from click.testing import CliRunner
from google.cloud import bigquery
from streamlit.testing.v1 import AppTest

from cdp.__main__ import cdp
from cdp.deployments import cloud
from cdp.deployments.build import HOME_PAGE
from cdp.deployments.cloud import Cloud
from cdp.domain.errors import CdpError
from cdp.settings import Settings, SettingsError
from tests.pages.support import warm

MADE = {"deployment": "gcp", "project": "my-project", "bucket": "b-1", "export_dataset": "ga_1"}
Deployed = Callable[..., Cloud]


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """A deployment of these settings alone, on a machine where nobody is signed in to Google."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("CDP_", "GOOGLE_", "CLOUDSDK_")) or name.endswith("_EMULATOR_HOST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))

    def make(**changed: Any) -> Cloud:
        return Cloud(Settings.load(**{**MADE, **changed}))

    return make


def test_commands_and_the_console_say_so_where_nobody_is_signed_in_to_google(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = deployed(cookie_key="c" * 64).settings
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    for words in (["runs"], ["stats"], ["user", "list"], ["release"], ["refresh"]):
        answer = CliRunner().invoke(cdp, words)
        assert answer.exit_code == 1
        assert "Error: no credentials for Google Cloud; run `gcloud auth" in answer.output
    warm(monkeypatch)
    monkeypatch.chdir(HOME_PAGE.parent)
    st.cache_resource.clear()
    at = AppTest.from_file(str(HOME_PAGE), default_timeout=30).run()
    st.cache_resource.clear()
    assert not at.exception
    assert "no credentials for Google Cloud" in at.error[0].value


PARTS = {
    "documents": ("project",),
    "objects": ("project", "bucket"),
    "queue": ("project",),
    "executions": ("project",),
    "salt": ("salt",),
    "cookie_key": ("cookie_key",),
}


@pytest.mark.parametrize(("part", "names"), PARTS.items())
def test_a_part_names_the_setting_that_it_lacks(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, part: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")  # no credentials asked for
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    for name in names:
        with pytest.raises(SettingsError, match=f"CDP_{name.upper()} is not set; set it"):
            getattr(deployed(**{name: None}), part)


@pytest.mark.parametrize("part", ["documents", "objects", "queue", "executions"])
def test_without_credentials_a_part_says_how_to_get_them(deployed: Deployed, part: str) -> None:
    with pytest.raises(CdpError, match="no credentials for Google Cloud; run `gcloud auth"):
        getattr(deployed(), part)
    with pytest.raises(CdpError, match="no credentials for Google Cloud"):
        deployed().published()


def test_the_doctor_tells_all_that_is_missing_at_once_and_each_once(deployed: Deployed) -> None:
    nothing = deployed(project=None, bucket=None, export_dataset=None)
    names = ["CDP_PROJECT", "CDP_BUCKET", "CDP_EXPORT_DATASET"]
    assert [line.split()[0] for line in nothing.problems()] == names
    missing, signed_out = deployed(bucket=None).problems()
    assert missing.startswith("CDP_BUCKET is not set; set it")
    assert signed_out.startswith("no credentials")


def test_secrets_are_not_shown_and_not_empty(deployed: Deployed) -> None:
    secret = "of-the-sea"
    settings = deployed(salt=secret, cookie_key=secret).settings
    assert secret not in f"{settings!r} {settings.salt} {settings.cookie_key}"
    with pytest.raises(SettingsError, match="CDP_SALT is ''; set it to the secret"):
        deployed(salt="")


def test_pages_ask_at_most_every_ten_seconds_what_was_published(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, now = count(1), 100.0

    class Questions:
        def published_version(self) -> str:
            return str(next(versions))

    platform = deployed()
    monkeypatch.setattr(cloud.time, "monotonic", lambda: now)
    platform.__dict__["_questions"] = Questions()
    assert [platform.published_version() for _ in range(3)] == ["1", "1", "1"]
    now += 9.9
    assert platform.published_version() == "1"
    now += 0.2
    assert platform.published_version() == "2"


@pytest.mark.parametrize(
    ("given", "read"), [("ga_1", "my-project.ga_1"), ("other-1.ga_1", "other-1.ga_1")]
)
def test_the_export_may_lie_in_another_project(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, given: str, read: str
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    asked: list[str] = []

    def query(self: bigquery.Client, sql: str, **options: Any) -> Any:
        asked.append(sql)
        raise LookupError

    monkeypatch.setattr(bigquery.Client, "query_and_wait", query)
    with pytest.raises(LookupError):
        deployed(export_dataset=given)._exported()
    assert f"`{read}.__TABLES__`" in asked[0]


def test_ga4s_files_are_not_loaded_here(deployed: Deployed) -> None:
    with pytest.raises(CdpError, match="GA4 exports into BigQuery by itself"):
        deployed().load_ga4([Path("events_20261031.parquet")])
