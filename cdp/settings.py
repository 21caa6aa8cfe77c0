"""Settings: read once, at the edge, from the environment (and `.env`); every one has a default.

`cdp doctor` prints them with where each came from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cdp.domain.errors import CdpError

_NAME: Final = r"^[a-z][a-z0-9-]{2,62}$"
_TABLES: Final = r"^[A-Za-z0-9_]{1,1000}$"
_GB: Final = 10**9


class SettingsError(CdpError):
    """A setting has a value that cannot be used; names the setting and what it takes."""


class Settings(BaseSettings):
    """What differs between deployments; the field `home` is the variable `CDP_HOME`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="CDP_", env_file=".env", extra="ignore", frozen=True, validate_default=True
    )

    deployment: Literal["embedded", "gcp"] = Field(
        default="embedded", description="Where it runs: on this machine, or on Google Cloud."
    )
    home: Path = Field(
        default=Path(".cdp"), description="Folder of the embedded deployment's data."
    )
    policy: Path | None = Field(
        default=None, description="Policy file; the one that ships with the package if unset."
    )
    property: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        default="default", description="GA4 property whose export is read; part of client keys."
    )
    timezone: str = Field(
        default="UTC", description="The GA4 property's reporting time zone; days end in it."
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None,
        description="The GA4 property's currency, such as EUR; amounts are shown in it.",
    )
    workers: int = Field(
        default=2, ge=1, le=64, description="Processes that ingest shards (embedded)."
    )
    shard_rows: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Profiles a shard, at most."
    )
    batch_events: int = Field(
        default=2_000_000,
        ge=1,
        description="Events cleaned by one statement, roughly; bounds memory and bytes billed.",
    )
    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)?(MB|GB)$")] = Field(
        default="1GB", description="Memory the embedded warehouse may use before it spills."
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="Threads of the embedded warehouse; 0 is all cores."
    )
    delivery_timeout: int = Field(
        default=3600, ge=1, description="Seconds a run waits for the receipts of its shards."
    )
    delivery_attempts: int = Field(
        default=5, ge=1, le=100, description="Deliveries of a shard before it is dead-lettered."
    )
    delivery_backoff: float = Field(
        default=1.0, ge=0.0, le=600, description="Seconds before the first redelivery; doubles."
    )

    shard_days: int = Field(
        default=7, ge=1, description="Days that a shard which nobody took is kept, at most."
    )

    project: Annotated[str, Field(pattern=_NAME)] | None = Field(
        default=None, description="Google Cloud project (gcp)."
    )
    region: Annotated[str, Field(pattern=_NAME)] = Field(
        default="europe-west1", description="Region of the workflow and the functions (gcp)."
    )
    location: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{2,40}$")] = Field(
        default="EU", description="Location of BigQuery's datasets and of the bucket (gcp)."
    )
    export_dataset: (
        Annotated[str, Field(pattern=r"^([a-z][a-z0-9.:-]{2,62}\.)?[A-Za-z0-9_]{1,1000}$")] | None
    ) = Field(
        default=None,
        description="Dataset GA4 exports into: analytics_123 or project.analytics_123 (gcp).",
    )
    dataset: Annotated[str, Field(pattern=_TABLES)] = Field(
        default="cdp", description="Dataset of everything derived from the export (gcp)."
    )
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")] | None = Field(
        default=None, description="Bucket of shards, manifests and released statements (gcp)."
    )
    database: Annotated[str, Field(pattern=r"^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$")] = (
        Field(
            default="composable-cdp",
            description="Firestore database of profiles and decisions (gcp).",
        )
    )
    topic: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._~%+-]{2,254}$")] = Field(
        default="cdp-shards", description="Pub/Sub topic of one message a shard (gcp)."
    )
    workflow: Annotated[str, Field(pattern=_NAME)] = Field(
        default="cdp-refresh", description="The deployed workflow's name (gcp)."
    )
    maximum_bytes_billed: int = Field(
        default=1000 * _GB,
        ge=1,
        description="Bytes that one statement of a refresh may bill, at most (gcp).",
    )
    question_bytes_billed: int = Field(
        default=20 * _GB,
        ge=1,
        description="Bytes that one question of a page may bill, at most (gcp).",
    )
    ramp: int = Field(
        default=500,
        ge=0,
        description="Writes/s of each process when a first load begins, +50 % every 5 min (gcp).",
    )
    salt: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Secret that profile ids are made with (gcp); never change it.",
    )
    cookie_key: SecretStr | None = Field(
        default=None, min_length=1, description="Secret that signs the console's cookies (gcp)."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones
            raise ValueError("use an IANA time zone such as Europe/Berlin") from None
        return value

    @field_validator("policy")
    @classmethod
    def _policy_exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file; unset it to use the policy that ships")
        return value

    def needed(self, name: str) -> str:
        """Return the text of a setting that the deployment cannot do without.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if value is None:
            what = type(self).model_fields[name].description
            raise SettingsError(f"CDP_{name.upper()} is not set; set it. {what}")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    def environment(self) -> dict[str, str]:
        """Return the variables that make another process's settings equal to these.

        Paths are absolute: that process may work in another folder.
        """
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            f"CDP_{name.upper()}": str(value.absolute())
            if isinstance(value, Path)
            else self.needed(name)
            for name, value in given.items()
            if value is not None
        }

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Return the settings in force.

        Raises:
            SettingsError: one line a wrong setting, with its name, value and what it takes.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [
                f"CDP_{str(e['loc'][0]).upper()} is {str(e['input'])!r}; {_reason(e)}"
                for e in error.errors()
            ]
            raise SettingsError("\n".join(lines)) from None


def _reason(error: Mapping[str, Any]) -> str:
    """Return what the setting takes."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    field = Settings.model_fields[str(error["loc"][0])]
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        bounds |= {name: getattr(rule, name) for name in ("ge", "le") if hasattr(rule, name)}
    if field.annotation in (int, float):
        number = "a whole number" if field.annotation is int else "a number"
        most = f" to {bounds['le']}" if "le" in bounds else " upwards"
        return f"set it to {number} from {bounds['ge']}{most}"
    if error["type"] == "literal_error":
        return f"set it to {error['ctx']['expected']}, or unset it"
    return _TAKES.get(str(error["loc"][0]), str(error["msg"]))


_TAKES: Final[Mapping[str, str]] = {
    "currency": "set it to a code of three capital letters such as EUR, or unset it",
    "property": "set it to 1 to 64 letters, digits, - and _",
    "project": "set it to the project's id, such as my-project-123",
    "region": "set it to a region such as europe-west1",
    "location": "set it to a location such as EU or europe-west1",
    "export_dataset": "set it to the dataset GA4 exports into, such as analytics_123456",
    "dataset": "set it to letters, digits and _",
    "bucket": "set it to the bucket's name without gs://",
    "database": "set it to 4 to 63 of a-z, 0-9 and -, a letter first, or unset it",
    "topic": "set it to the topic's name without projects/…/topics/",
    "workflow": "set it to lower-case letters, digits and -",
    "salt": "set it to the secret, or unset it",
    "cookie_key": "set it to the secret, or unset it",
    "memory_limit": "set it to a number and MB or GB, such as 512MB or 1.5GB",
}
