"""No secret is in the repository, nor was in its history. Lines are looked at once each."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

from tests.emulators import absent

ROOT = Path(__file__).resolve().parents[2]

PRECISE = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "KeywordDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)
OURS = ("GoogleKeyDetector", "MadeSecretDetector")
# No filter that asks a vendor whether a key works: that needs a network.
SETTINGS = {
    "plugins_used": [
        *({"name": name} for name in PRECISE),
        *({"name": name, "path": f"file://{ROOT / 'tests/google_secrets.py'}"} for name in OURS),
    ],
    "filters_used": [
        {"path": f"detect_secrets.filters.heuristic.{name}"}
        for name in (
            "is_indirect_reference",
            "is_not_alphanumeric_string",
            "is_prefixed_with_dollar_sign",
            "is_templated_secret",
        )
    ],
}

# Looked at: words that only look like a secret, here or in the history.
ALLOWED = {
    "Change a password",  # a label of the audit log
    "correct horse battery",  # that of accounts which tests make
    "k_1",  # a client key of test data
    "of-the-sea",  # a salt that a test makes
    "Google key",  # what a detector is called
    "Salt or cookie key",  # another one
    *("s3cret", "secret", "x"),  # passwords in URLs that tests redact
    "mine",  # what a test plants and looks for in what it builds
}


def git(folder: Path, *words: str, typed: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", "-C", folder, *words], input=typed, capture_output=True, check=True
    ).stdout


def lines(folder: Path) -> dict[str, str]:
    """Return every line of the files as they are and of all that git has of them, with a path."""
    found: dict[str, str] = {}

    def add(body: bytes, path: str) -> None:
        if b"\0" not in body:
            for line in body.decode("utf-8", "replace").splitlines():
                found.setdefault(line, path)

    for path in git(folder, "ls-files", "-co", "--exclude-standard", "-z").decode().split("\0"):
        if path and (folder / path).is_file():
            add((folder / path).read_bytes(), path)
    listed = git(folder, "rev-list", "--objects", "HEAD").decode().splitlines()
    paths = dict(line.split(" ", 1) for line in listed if " " in line)
    for name, body in blobs(git(folder, "cat-file", "--batch", typed="\n".join(paths).encode())):
        add(body, f"{paths[name]} in an earlier commit")
    return found


def blobs(batch: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file in what `git cat-file --batch` says."""
    at = 0
    while at < len(batch):
        end = batch.index(b"\n", at)
        name, kind, size = batch[at:end].decode().split()
        at = end + 1 + int(size) + 1
        if kind == "blob":
            yield name, batch[end + 1 : at - 1]


def secrets(folder: Path) -> list[str]:
    """Return where there is what looks like a secret, and of which kind; never the secret."""
    with transient_settings(SETTINGS):
        return sorted(
            {
                f"{path}: {secret.type}"
                for line, path in lines(folder).items()
                for secret in scan_line(line)
                if secret.secret_value not in ALLOWED
            }
        )


def test_no_secret_is_in_the_files_or_in_their_history() -> None:
    try:
        git(ROOT, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        absent("needs git and the repository's history")
    assert secrets(ROOT) == []


# Put together here, so that this file does not hold what it looks for.
PLANTED = {
    "Private Key": '"private_key": "-----BEGIN ' + 'PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B"',
    "AWS Access Key": "aws_access_key_id = AKIA" + "QX7RT2MZPL4WN5KD",
    "Google key": "key: AIza" + "SyD3kq9ZtW1vLr8XnB5mYc2Ju7Ho4Fe0GaPs",
    "Salt or cookie key": "4f1c" * 16,
    "Secret Keyword": "".join(["pass", "word", ' = "', "Tr0ub4dor-and-3", '"']),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "README").write_text("Nothing here.\n")
    commit(tmp_path)
    return tmp_path


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(
        folder,
        *("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"),
        *("commit", "-qm", "Change"),
    )


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_is_found_in_a_file(repository: Path, kind: str) -> None:
    (repository / "notes.txt").write_text(f"first\n{PLANTED[kind]}\n")
    assert secrets(repository) == [f"notes.txt: {kind}"]


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_that_was_taken_out_again_is_found_in_the_history(
    repository: Path, kind: str
) -> None:
    (repository / "notes.txt").write_text(PLANTED[kind])
    commit(repository)
    (repository / "notes.txt").unlink()
    commit(repository)
    assert secrets(repository) == [f"notes.txt in an earlier commit: {kind}"]


def test_a_service_accounts_key_is_found_as_google_writes_it(repository: Path) -> None:
    key = dict.fromkeys(("type", "project_id", "private_key_id", "client_email"), "x")
    rows = [f'  "{name}": "{value}",' for name, value in key.items()]
    (repository / "key.json").write_text("\n".join(["{", *rows, PLANTED["Private Key"], "}"]))
    assert "key.json: Private Key" in secrets(repository)


def test_nothing_is_found_where_nothing_is(repository: Path) -> None:
    (repository / "picture.png").write_bytes(b"\x89PNG\0" + os.urandom(256))
    assert secrets(repository) == []
