import pytest

from cdp.domain.errors import CdpError
from cdp.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """Start in an empty folder with none of our variables set."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("CDP_"):
            monkeypatch.delenv(name)
    return tmp_path


def refused(**overrides):
    with pytest.raises(SettingsError) as error:
        Settings.load(**overrides)
    return str(error.value)


def test_every_setting_has_a_default_and_says_what_it_is():
    settings = Settings.load()
    assert str(settings.home) == ".cdp"
    assert (settings.property, settings.timezone) == ("default", "UTC")
    assert settings.policy is None
    assert settings.memory_limit == "1GB"
    assert all(field.description for field in Settings.model_fields.values())


def test_a_variable_stands_above_the_file_and_the_file_above_the_default(bare, monkeypatch):
    (bare / ".env").write_text("CDP_WORKERS=7\nCDP_SHARD_ROWS=123\n# CDP_THREADS=9\n")
    monkeypatch.setenv("CDP_WORKERS", "3")
    settings = Settings.load()
    assert (settings.workers, settings.shard_rows, settings.threads) == (3, 123, 0)
    assert {"workers", "shard_rows"} == settings.model_fields_set


def test_settings_cannot_change_while_the_platform_runs():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().workers = 5


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("PROPERTY", "a b", "1 to 64 letters, digits, - and _"),
        ("PROPERTY", "", "1 to 64 letters"),
        ("PROPERTY", "x" * 65, "1 to 64 letters"),
        ("TIMEZONE", "Berlin", "IANA time zone such as Europe/Berlin"),
        ("TIMEZONE", "../etc/passwd", "IANA time zone"),
        ("TIMEZONE", "", "IANA time zone"),
        ("TIMEZONE", "Europe", "IANA time zone"),
        ("POLICY", "nowhere.toml", "no such file"),
        ("POLICY", ".", "no such file"),
        ("WORKERS", "0", "a whole number from 1 to 64"),
        ("WORKERS", "65", "a whole number from 1 to 64"),
        ("WORKERS", "two", "a whole number from 1 to 64"),
        ("WORKERS", "1.5", "a whole number from 1 to 64"),
        ("SHARD_ROWS", "1000001", "a whole number from 1 to 1000000"),
        ("BATCH_EVENTS", "0", "a whole number from 1 upwards"),
        ("MEMORY_LIMIT", "lots", "such as 512MB or 1.5GB"),
        ("MEMORY_LIMIT", "1GB; DROP TABLE x", "such as 512MB or 1.5GB"),
        ("THREADS", "-1", "a whole number from 0 to 256"),
        ("DELIVERY_TIMEOUT", "0", "a whole number from 1 upwards"),
        ("DELIVERY_ATTEMPTS", "101", "a whole number from 1 to 100"),
        ("DELIVERY_BACKOFF", "-0.1", "a number from 0.0 to 600"),
        ("DELIVERY_BACKOFF", "nan", "a number from 0.0 to 600"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable_and_what_it_takes(
    monkeypatch, name, value, takes
):
    monkeypatch.setenv(f"CDP_{name}", value)
    message = refused()
    assert message.startswith(f"CDP_{name} is {value!r}; ")
    assert takes in message
    assert "\n" not in message


def test_several_wrong_values_are_told_at_once(monkeypatch):
    monkeypatch.setenv("CDP_WORKERS", "0")
    monkeypatch.setenv("CDP_TIMEZONE", "Mars")
    assert [line.split()[0] for line in refused().splitlines()] == ["CDP_TIMEZONE", "CDP_WORKERS"]


def test_a_wrong_value_in_the_env_file_is_refused_likewise(bare):
    (bare / ".env").write_text("CDP_WORKERS=none\n")
    assert refused().startswith("CDP_WORKERS is 'none'; ")


def test_a_message_shows_nothing_of_the_other_variables(bare, monkeypatch):
    (bare / ".env").write_text("SMTP_PASSWORD=hunter2\nCDP_API_KEY=hunter3\n")
    monkeypatch.setenv("CDP_TOKEN", "hunter4")
    monkeypatch.setenv("CDP_WORKERS", "0")
    assert "hunter" not in refused()
    monkeypatch.setenv("CDP_WORKERS", "1")
    assert "hunter" not in repr(Settings.load())


def test_a_settings_error_is_shown_without_a_traceback():
    assert issubclass(SettingsError, CdpError)
