"""The docs say what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cdp.cli.main import cdp
from cdp.domain.payload import FIELDS
from cdp.settings import Settings

DOCS = Path(__file__).resolve().parents[2]


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command that `--help` shows, with its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        elif not command.hidden:
            yield f"{above}{name}", command


COMMANDS = dict(commands(cdp))


def documented() -> dict[str, set[str]]:
    """Return the options that the table of commands tells of, by command."""
    table = (DOCS / "docs/commands.md").read_text("utf-8").partition("\n## ")[0]
    found = {}
    for row in re.findall(r"^\| (`.+)", table, re.MULTILINE):
        for spelled in re.findall(r"`([^`]+)`", row.partition(" |")[0]):
            (name,) = re.findall(r"^[a-z0-9]+(?: [a-z0-9]+)?", spelled)
            found[name] = set(re.findall(r"--[a-z-]+", row))
    return found


def test_every_command_is_documented_and_no_other() -> None:
    assert documented().keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option) and not p.hidden]
    assert documented()[name] == {spelled for option in options for spelled in option.opts}


def spoken() -> Iterator[tuple[str, str]]:
    """Yield every `cdp …` that a document or a message says, with its place."""
    pages = [DOCS / "README.md", DOCS / "CHANGELOG.md", *(DOCS / "docs").rglob("*.md")]
    pages += (DOCS / "bench").rglob("*.md")
    code = [*(DOCS / "cdp").rglob("*.py"), *(DOCS / "pages").glob("*.py")]
    for path in [*pages, *code]:
        text = path.read_text("utf-8")
        said = re.findall(r"`cdp ([a-z][^`]*)`", text)
        if path.suffix == ".md":
            said += re.findall(r"^\$ (?:\S+/)?cdp ([^#\n]+)", text, re.MULTILINE)
        yield from ((f"{path.relative_to(DOCS)}: cdp {words}", words) for words in said)


def test_what_documents_and_messages_say_can_be_typed() -> None:
    groups = {name for name, command in cdp.commands.items() if isinstance(command, click.Group)}
    options = {**{name: set() for name in groups}, **documented()}

    def known(words: str) -> bool:
        name = next((n for n in COMMANDS if f"{words} ".startswith(f"{n} ")), words)
        said = set(re.findall(r"(?<![\w-])--[a-z-]+", words))
        return name in options and said <= options[name] | {"--help"}

    assert [place for place, words in spoken() if not known(words)] == []


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
