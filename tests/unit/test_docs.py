"""The docs say what there is."""

import re
from pathlib import Path

import pytest

from cdp.cli.main import cdp
from cdp.domain.payload import FIELDS
from cdp.settings import Settings

DOCS = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", [name for name, c in cdp.commands.items() if not c.hidden])
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"`{name}\b", (DOCS / "docs/commands.md").read_text("utf-8"))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    line = f"| `CDP_{name.upper()}` |"
    default = Settings.model_fields[name].default
    (row,) = [r for r in (DOCS / "docs/commands.md").read_text("utf-8").splitlines() if line in r]
    assert default is None or f"`{default}`" in row


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_of_the_profile_is_documented(path: str) -> None:
    assert f"`{path}`" in (DOCS / "docs/profile.md").read_text("utf-8")


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [
        DOCS / "README.md",
        *(DOCS / "docs").rglob("*.md"),
        DOCS / "bench" / "README.md",
        *(DOCS / "bench").glob("*/README.md"),
    ]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
