"""The deployment scripts, run against a stand-in for Google's command lines or against none."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdp.settings import Settings
from tests.emulators import absent
from tests.unit.deploy.conftest import ROOT, Desk

SCRIPTS = [*sorted((ROOT / "deploy").rglob("*.sh")), ROOT / ".ci" / "run"]
FAKE = Path(__file__).with_name("fake_cloud.sh")
RIGHTS = [tuple(line.split("\t")) for line in (ROOT / "deploy/rights.tsv").read_text().splitlines()]
ACCOUNT = re.compile(r"serviceAccount:(?:service-\S+@gcp-sa-([a-z]+)|([a-z-]+)@demo-project)\.")


def commands(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line and not line.startswith("#")]


def words(printed: str, *beginning: str) -> list[list[str]]:
    """Return the words of the printed commands that begin so."""
    split = [shlex.split(line) for line in commands(printed)]
    return [line for line in split if tuple(line[: len(beginning)]) == beginning]


def flag(line: list[str], name: str) -> str:
    (value,) = [w.removeprefix(f"--{name}=") for w in line if w.startswith(f"--{name}=")]
    return value


def pairs(line: list[str], name: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in flag(line, name).split(","))


# --- a dry run ------------------------------------------------------------------------------------


def test_a_dry_run_needs_no_gcloud_and_says_the_same_twice(desk: Desk, dry_run: str) -> None:
    again = desk.run("deploy.sh", "--dry-run", env={"PROJECT_NUMBER": ""}).stdout
    assert re.sub(r"/\S*/bin/python", "python", again) == re.sub(
        r"/\S*/bin/python", "python", dry_run
    )


def test_a_dry_run_prints_a_script_with_nothing_left_to_fill_in(dry_run: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=dry_run, text=True, check=False)
    assert checked.returncode == 0
    for line in commands(dry_run):
        assert shlex.split(line)
    variables = set(re.findall(r"\$[A-Za-z_{]\w*", dry_run))
    assert variables == {"$PROJECT_NUMBER", "$CHANNEL"}
    for name in variables:
        assert f"\n{name[1:]}=$(gcloud " in f"\n{dry_run}"
    assert not re.search(r"TODO|FIXME|CHANGEME|<[a-z]+>|YOUR_|example\.invalid", dry_run)


def test_a_dry_run_with_the_projects_number_is_exact(desk: Desk, dry_run: str) -> None:
    exact = desk.run("deploy.sh", "--dry-run", env={"PROJECT_NUMBER": "42"}).stdout
    assert "https://cdp-ingest-42.europe-west1.run.app" in exact
    labels = re.compile(r"cdp=[0-9a-f]{16}")
    assert labels.findall(exact) == labels.findall(dry_run)


@pytest.mark.parametrize(
    "beginning",
    [
        "gcloud storage buckets create gs://demo-project-cdp",
        "gcloud pubsub topics create cdp-shards",
        "gcloud pubsub topics create cdp-shards-dead",
        "gcloud pubsub subscriptions create cdp-shards-ingest",
        "gcloud pubsub subscriptions create cdp-shards-bury",
        "gcloud firestore databases create",
        "gcloud firestore indexes composite create",
        "gcloud firestore indexes fields update",
        "gcloud secrets create cdp-salt",
        "gcloud secrets create cdp-cookie-key",
        "gcloud run deploy cdp-steps",
        "gcloud run deploy cdp-ingest",
        "gcloud run deploy cdp-bury",
        "gcloud beta run deploy cdp-console",
        "gcloud workflows deploy cdp-refresh",
        "gcloud scheduler jobs create http cdp-refresh",
        "gcloud alpha monitoring policies create",
        *(
            f"gcloud iam service-accounts create cdp-{name}"
            for name in ("workflow", "steps", "ingest", "console", "push", "scheduler", "build")
        ),
    ],
)
def test_a_dry_run_holds_every_resource(dry_run: str, beginning: str) -> None:
    assert words(dry_run, *beginning.split())


def test_datasets_are_made_where_the_export_is(dry_run: str) -> None:
    made = [line for line in words(dry_run, "bq") if "mk" in line]
    assert [line[-1].split(":")[1] for line in made] == ["cdp", "cdp_a", "cdp_b"]
    assert {flag(line, "location") for line in made} == {"EU"}


def test_delivery_waits_long_and_gives_up_after_five_attempts(dry_run: str) -> None:
    (shards,) = words(dry_run, "gcloud", "pubsub", "subscriptions", "create", "cdp-shards-ingest")
    assert flag(shards, "ack-deadline") == "600"
    assert flag(shards, "min-retry-delay") == "10s"
    assert flag(shards, "max-retry-delay") == "600s"
    assert flag(shards, "dead-letter-topic") == "cdp-shards-dead"
    assert flag(shards, "max-delivery-attempts") == "5"
    assert flag(shards, "push-auth-service-account").startswith("cdp-push@")


def test_nobody_from_outside_reaches_a_function(dry_run: str) -> None:
    services = words(dry_run, "gcloud", "run", "deploy")
    assert len(services) == 3
    for service in services:
        assert "--no-allow-unauthenticated" in service
        assert flag(service, "ingress") == "internal"
    assert "allUsers" not in dry_run


def test_the_console_is_open_to_the_internet_only_where_the_configuration_says_so(
    desk: Desk, dry_run: str
) -> None:
    (behind_google,) = words(dry_run, "gcloud", "beta", "run", "deploy")
    assert {"--iap", "--no-allow-unauthenticated"} <= set(behind_google)
    desk.config.write_text(desk.config.read_text() + "CONSOLE_ACCESS=public\n")
    open_to_all = desk.run("deploy.sh", "--dry-run", "--only", "console").stdout
    (console,) = words(open_to_all, "gcloud", "run", "deploy", "cdp-console")
    assert "--allow-unauthenticated" in console
    assert "iap" not in open_to_all


def test_one_part_may_be_deployed_alone(desk: Desk) -> None:
    printed = desk.run("deploy.sh", "--dry-run", "--only", "schedule").stdout
    assert {line[1] for line in words(printed, "gcloud")} == {"scheduler"}
    unknown = desk.run("deploy.sh", "--dry-run", "--only", "sky")
    assert unknown.returncode == 1
    assert "there is no part sky; choose one of apis accounts" in unknown.stderr


# --- what the scripts and the code say alike ------------------------------------------------------


def test_services_are_given_settings_that_exist(dry_run: str) -> None:
    deployed = [
        *words(dry_run, "gcloud", "run", "deploy"),
        *words(dry_run, "gcloud", "beta", "run"),
    ]
    for service in deployed:
        given = pairs(service, "set-env-vars")
        names = {name.removeprefix("CDP_").lower() for name in given}
        assert all(name.startswith("CDP_") for name in given)
        assert names <= Settings.model_fields.keys()
        settings = Settings(**{k.removeprefix("CDP_").lower(): v for k, v in given.items()})
        assert settings.deployment == "gcp"
        assert settings.timezone == "Europe/Berlin"


def test_secrets_reach_only_the_service_that_needs_them(dry_run: str) -> None:
    given = {
        line[line.index("deploy") + 1]: pairs(line, "set-secrets")
        for line in [
            *words(dry_run, "gcloud", "run", "deploy"),
            *words(dry_run, "gcloud", "beta", "run"),
        ]
        if any(word.startswith("--set-secrets") for word in line)
    }
    assert given == {
        "cdp-steps": {"CDP_SALT": "cdp-salt:1"},
        "cdp-console": {"CDP_COOKIE_KEY": "cdp-cookie-key:latest"},
    }
    names = {name.removeprefix("CDP_").lower() for of in given.values() for name in of}
    assert names <= Settings.model_fields.keys()


def test_the_defaults_are_those_of_the_settings(desk: Desk, dry_run: str) -> None:
    (console,) = words(dry_run, "gcloud", "beta", "run", "deploy")
    given = pairs(console, "set-env-vars")
    for name in ("region", "location", "dataset", "database", "topic", "workflow", "property"):
        assert given[f"CDP_{name.upper()}"] == Settings.model_fields[name].default
    for name in ("maximum_bytes_billed", "question_bytes_billed"):
        assert int(given[f"CDP_{name.upper()}"]) == Settings.model_fields[name].default


def test_the_workflow_is_given_every_variable_that_it_reads(dry_run: str) -> None:
    (workflow,) = words(dry_run, "gcloud", "workflows", "deploy")
    read = re.findall(r'sys\.get_env\("(CDP_\w+)"', (ROOT / "workflow.yaml").read_text())
    assert pairs(workflow, "set-env-vars").keys() == set(read)


def test_the_settings_of_ones_own_machine_are_those_of_the_services(
    desk: Desk, dry_run: str
) -> None:
    printed = desk.run("deploy.sh", "--env").stdout
    (console,) = words(dry_run, "gcloud", "beta", "run", "deploy")
    assert dict(line.split("=", 1) for line in printed.splitlines()) == pairs(
        console, "set-env-vars"
    )


def test_a_policy_of_ones_own_travels_with_the_code(desk: Desk) -> None:
    policy = desk.folder / "mine.toml"
    policy.write_text("")
    desk.config.write_text(desk.config.read_text() + f"POLICY={policy}\n")
    printed = desk.run("deploy.sh", "--dry-run").stdout
    copied = [line[-1] for line in words(printed, "cp", str(policy))]
    assert copied == [f"deploy/.build/{name}/policy.toml" for name in ("functions", "console")]
    (console,) = words(printed, "gcloud", "beta", "run", "deploy")
    assert pairs(console, "set-env-vars")["CDP_POLICY"] == "policy.toml"


# --- the console's image --------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a deployment is made from, as a developer has it: with secrets beside the settings."""
    folder = tmp_path / "checkout"
    for name in ("cdp", "deploy", "pages", "static", ".streamlit"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".build"))
    for name in ("Home.py", "workflow.yaml", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ".streamlit" / "secrets.toml").write_text("[auth]")
    (folder / "cdp" / "__pycache__").mkdir(exist_ok=True)
    return folder


def test_secrets_of_ones_own_are_not_in_the_consoles_image(desk: Desk, checkout: Path) -> None:
    desk.cloud()
    done = desk.run("deploy.sh", "--only", "console", root=checkout)
    assert done.returncode == 0, done.stderr
    image = checkout / "deploy" / ".build" / "console"
    assert sorted(file.name for file in (image / ".streamlit").iterdir()) == ["config.toml"]
    for name in (".gcloudignore", ".dockerignore"):
        assert ".streamlit/secrets.toml" in (image / name).read_text()


def test_git_ignores_secrets_of_ones_own() -> None:
    for name in (".streamlit/secrets.toml", ".env", "deploy/config.env"):
        ignored = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
        assert ignored.returncode == 0, name


def test_the_consoles_image_runs_without_an_installed_package(desk: Desk, checkout: Path) -> None:
    desk.cloud()
    assert desk.run("deploy.sh", "--only", "console", root=checkout).returncode == 0
    image = checkout / "deploy" / ".build" / "console"
    program = (
        "from cdp.deployments.build import HOME_PAGE; from cdp.cli.main import cdp; "
        "print(HOME_PAGE.resolve()); cdp(['serve', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=image,
        env={"PATH": "", "HOME": str(desk.folder), "PYTHONPATH": str(image)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str((image / "Home.py").resolve())
    assert "python -m cdp serve" in (image / "Dockerfile").read_text()


# --- rights ---------------------------------------------------------------------------------------


def documented() -> list[tuple[str, ...]]:
    """Return the rows of the table of rights in the page."""
    page = (ROOT / "docs/deploy.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `([\w-]+)` \| `([\w./]+)` \| (?:`([\w:/-]+)`) \| (.+) \|$", page, re.MULTILINE
    )
    return [tuple(row) for row in rows]


def test_the_page_lists_the_rights_that_are_granted() -> None:
    assert documented() == RIGHTS


def test_a_dry_run_grants_every_right_and_no_other(dry_run: str) -> None:
    given = set()
    for line in words(dry_run, "gcloud"):
        if "add-iam-policy-binding" in line and "iap" not in line:
            agent, account = ACCOUNT.match(flag(line, "member")).groups()
            place = line[line.index("add-iam-policy-binding") + 1].split("@")[0]
            narrowed = "condition" in " ".join(line) and "title=" in flag(line, "condition")
            on = {"demo-project": "project", "gs://demo-project-cdp": "bucket"}.get(place, place)
            if narrowed:
                on = {"project": "database", "bucket": "bucket/runs"}[on]
            role = flag(line, "role").replace("demo-project", "PROJECT")
            given.add((account or f"{agent}-agent", role, on))
    for line in words(dry_run, "bq"):
        if found := re.match(r"GRANT `(.+)` ON SCHEMA `.+`\.`(.+)` TO \"(.+)\"", line[-1]):
            on = found[2].replace("cdp", "dataset").replace("analytics_1", "export")
            given.add((ACCOUNT.match(found[3])[2], found[1].replace("demo-project", "PROJECT"), on))
    assert given == {(account, role, on.split(":")[-1]) for account, role, on, _ in RIGHTS}


def test_no_account_may_do_everything_or_has_a_key() -> None:
    mighty = re.compile(r"roles/(owner|editor|viewer)$|admin|owner", re.IGNORECASE)
    assert [role for _, role, *_ in RIGHTS if mighty.search(role)] == []
    for script in SCRIPTS:
        assert not re.search(r"keys? create|private_key|\.json-key", script.read_text())


# --- runs -----------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(desk: Desk) -> None:
    desk.cloud()
    first = desk.run("deploy.sh")
    assert first.returncode == 0, first.stderr
    made = desk.changes()
    assert len(made) > 150
    second = desk.run("deploy.sh")
    assert second.returncode == 0, second.stderr
    assert desk.changes() == made


def test_a_secret_is_shown_to_nobody(desk: Desk) -> None:
    desk.cloud()
    done = desk.run("deploy.sh", "--only", "secrets")
    assert done.returncode == 0, done.stderr
    texts = [done.stdout, done.stderr, (desk.folder / "calls").read_text()]
    for name in ("cdp-salt", "cdp-cookie-key"):
        secret = (desk.folder / f"secret-{name}").read_text()
        assert not any(secret in text for text in texts)


def test_a_change_of_the_configuration_changes_what_it_concerns(desk: Desk) -> None:
    desk.cloud()
    assert desk.run("deploy.sh").returncode == 0
    before = len(desk.changes())
    desk.config.write_text(desk.config.read_text() + "SCHEDULE='30 4 * * *'\nKEEP_DAYS=7\n")
    assert desk.run("deploy.sh").returncode == 0
    assert desk.changes()[before:] == [
        "gcloud storage buckets update gs://demo-project-cdp",
        "gcloud scheduler jobs update http cdp-refresh",
    ]


def test_a_deployment_that_was_cut_short_goes_on(desk: Desk) -> None:
    desk.cloud()
    for cut in (0, 11, 37, 100, 170):
        broken = desk.run("deploy.sh", env={"FAKE_BREAKS_AFTER": str(cut)})
        assert broken.returncode != 0
        assert "the line is cut" in broken.stderr
    assert desk.run("deploy.sh").returncode == 0
    # Google's own accounts are asked for again; asked twice, Google makes one.
    again = ("identity create", "add-iam-policy-binding", "GRANT")
    made = [call for call in desk.changes() if not any(deed in call for deed in again)]
    assert len(made) == len(set(made))
    for file in (desk.folder / "rights").iterdir():
        rights = file.read_text().splitlines()
        assert len(rights) == len(set(rights))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"account": ""}, "nobody is signed in; run gcloud auth login"),
        ({"billing": "False"}, "billing is off in demo-project"),
        ({"export": ""}, "there is no dataset demo-project.analytics_1; link GA4 to BigQuery"),
        ({"export": "US"}, "demo-project.analytics_1 is in US, not in EU; set LOCATION=US"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_made(
    desk: Desk, told: dict[str, str], words: str
) -> None:
    desk.cloud(**told)
    done = desk.run("deploy.sh")
    assert done.returncode == 1
    assert words in done.stderr
    assert all(call.startswith("gcloud services enable") for call in desk.changes())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("PROJECT=", "PROJECT is empty; set it in"),
        ("EXPORT_DATASET=", "EXPORT_DATASET is empty"),
        ("CONSOLE_ACCESS=open", "CONSOLE_ACCESS is 'open'; set it to iap or public"),
        ("KEEP_DAYS=some", "KEEP_DAYS is 'some'; set it to a whole number"),
        ("CURRENCY='EUR,CDP_SALT=1'", "it holds what no name has"),
        ("POLICY=nowhere.toml", "there is no such file"),
    ],
)
def test_a_wrong_setting_is_told_with_its_fix(desk: Desk, line: str, words: str) -> None:
    desk.config.write_text(f"{desk.config.read_text()}{line}\n")
    done = desk.run("deploy.sh", "--dry-run")
    assert done.returncode == 1
    assert words in done.stderr


def test_an_unknown_region_is_told_with_those_that_exist(desk: Desk) -> None:
    desk.cloud()
    desk.config.write_text(desk.config.read_text() + "REGION=europe-west99\n")
    done = desk.run("deploy.sh")
    assert "REGION is 'europe-west99'; set it to one of europe-west1 europe-west4" in done.stderr


def test_without_gcloud_a_real_run_says_what_to_install(desk: Desk) -> None:
    assert "gcloud is missing; install the Google Cloud CLI" in desk.run("deploy.sh").stderr


def test_a_resource_that_cannot_be_seen_is_not_taken_for_absent(desk: Desk) -> None:
    desk.script("gcloud", 'echo "ERROR: PERMISSION_DENIED on $*" >&2; exit 1\n')
    desk.script("bq", "exit 1\n")
    done = subprocess.run(
        ["bash", "-c", "source deploy/lib.sh; PROJECT=p; see pubsub topics describe t; echo made"],
        env={"PATH": str(desk.bin)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "PERMISSION_DENIED" in done.stderr


# --- destroying -----------------------------------------------------------------------------------


def test_destroying_needs_the_projects_name_and_keeps_profiles_and_the_export(desk: Desk) -> None:
    desk.cloud()
    assert desk.run("deploy.sh").returncode == 0
    before = desk.changes()
    refused = desk.run("destroy.sh", typed="yes\n")
    assert refused.returncode == 1
    assert "that is not demo-project; nothing was deleted" in refused.stderr
    assert desk.changes() == before
    done = desk.run("destroy.sh", typed="demo-project\n")
    assert done.returncode == 0, done.stderr
    assert {thing for thing in desk.things() if "versions" not in thing} == {
        "firestore databases composable-cdp",
        "secrets cdp-salt",
        "iam roles cdpPublisher",
        "iam roles cdpStopper",
        "channel",
    }
    deleted = desk.changes()[len(before) :]
    assert not [call for call in deleted if re.search(r"(rm|delete).*analytics", call)]
    assert not [call for call in deleted if "firestore" in call]


def test_destroying_takes_profiles_only_where_told(desk: Desk) -> None:
    kept = desk.run("destroy.sh", "--dry-run").stdout
    assert "bulk-delete" not in kept
    assert "delete cdp-salt" not in kept
    gone = desk.run("destroy.sh", "--dry-run", "--with-profiles").stdout
    (documents,) = words(gone, "gcloud", "firestore", "bulk-delete")
    named = flag(documents, "collection-ids").split(",")
    assert "cdp_profiles" in named
    assert [name for name in named if not name.startswith("cdp_")] == []  # others' are theirs
    assert flag(documents, "database") == "composable-cdp"
    assert words(gone, "gcloud", "secrets", "delete", "cdp-salt")
    assert "databases delete" not in gone


def test_every_collection_that_the_code_writes_is_one_that_destroying_knows(desk: Desk) -> None:
    gone = desk.run("destroy.sh", "--dry-run", "--with-profiles").stdout
    (documents,) = words(gone, "gcloud", "firestore", "bulk-delete")
    known = flag(documents, "collection-ids").split(",")
    written = {
        f"cdp_{name}"
        for file in (ROOT / "cdp").rglob("*.py")
        for name in re.findall(r'(?:Put|Create)\(\s*"([a-z_]+)"', file.read_text("utf-8"))
    }
    file = json.loads((ROOT / "firestore.indexes.json").read_text())
    indexed = {one["collectionGroup"] for part in file.values() for one in part}
    assert written | indexed | {"cdp_users"} <= set(known)


def test_a_database_that_holds_others_documents_stops_the_deployment(desk: Desk) -> None:
    desk.cloud()
    assert desk.run("deploy.sh", "--only", "firestore").returncode == 0
    before = desk.changes()
    python = desk.bin / "python"
    python.write_text(
        python.read_text().replace(
            '"-m cdp.deployments.claim") ;;', '"-m cdp.deployments.claim") exit 1 ;;'
        )
    )
    assert desk.run("deploy.sh", "--only", "firestore").returncode == 1
    assert desk.changes() == before


def test_indexes_are_of_the_platforms_own_collections_and_database(dry_run: str) -> None:
    made = words(dry_run, "gcloud", "firestore", "indexes")
    assert {flag(line, "database") for line in made} == {"composable-cdp"}
    assert [line for line in made if not flag(line, "collection-group").startswith("cdp_")] == []
    assert len(made) > 50


# --- indexes --------------------------------------------------------------------------------------


def indexes(file: Path, present: object = (), fields: object = ()) -> list[list[str]]:
    command = [sys.executable, ROOT / "deploy/indexes.py", file, json.dumps(present)]
    done = subprocess.run(
        [*command, json.dumps(fields)], capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_only_indexes_that_are_not_there_are_made(tmp_path: Path) -> None:
    file = tmp_path / "indexes.json"
    index = {
        "collectionGroup": "profiles",
        "queryScope": "COLLECTION",
        "fields": [{"fieldPath": "a.b", "order": "DESCENDING"}, {"fieldPath": "c"}],
    }
    listed = {"fieldPath": "emails", "arrayConfig": "CONTAINS"}
    other = {**index, "fields": [listed, {"fieldPath": "d", "order": "ASCENDING"}]}
    file.write_text(json.dumps({"indexes": [index, other]}))
    present = {
        "name": "projects/p/databases/d/collectionGroups/profiles/indexes/x",
        "queryScope": "COLLECTION",
        "fields": [
            {"fieldPath": "a.b", "order": "DESCENDING"},
            {"fieldPath": "c", "order": "ASCENDING"},
            {"fieldPath": "__name__", "order": "ASCENDING"},
        ],
    }
    assert indexes(file, [present]) == [
        [
            "composite",
            "create",
            "--collection-group=profiles",
            "--query-scope=collection",
            "--field-config=field-path=emails,array-config=contains",
            "--field-config=field-path=d,order=ascending",
        ]
    ]


def test_only_fields_that_are_indexed_in_another_way_are_configured(tmp_path: Path) -> None:
    file = tmp_path / "indexes.json"
    override = {"collectionGroup": "profiles", "fieldPath": "ga4", "indexes": []}
    searched = {**override, "fieldPath": "emails", "indexes": [{"arrayConfig": "CONTAINS"}]}
    file.write_text(json.dumps({"fieldOverrides": [override, searched]}))
    name = "projects/p/databases/d/collectionGroups/profiles/fields/ga4"
    assert indexes(file, fields=[{"name": name, "indexConfig": {"indexes": []}}]) == [
        [
            "fields",
            "update",
            "emails",
            "--collection-group=profiles",
            "--index=array-config=contains",
        ]
    ]


# --- the tools' own opinion -----------------------------------------------------------------------


def test_shellcheck_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    tool = str(beside) if beside.exists() else shutil.which("shellcheck")
    if tool is None:
        absent("needs shellcheck: pip install -r requirements-dev.txt")
    done = subprocess.run(
        [tool, "--external-sources", *SCRIPTS, FAKE, ROOT / ".ci" / "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


def test_gcloud_knows_every_command_and_every_flag(desk: Desk, dry_run: str) -> None:
    """The real one parses them; that needs neither a network nor an account."""
    gcloud = shutil.which("gcloud") or absent("needs gcloud to check commands against")
    desk.cloud()
    for more in (
        "",
        "KEEP_DAYS=7\nTIMEZONE=UTC\nALERT_EMAIL=bob@example.com\nCONSOLE_ACCESS=public\n",
    ):
        desk.config.write_text(desk.config.read_text() + more)
        assert desk.run("deploy.sh").returncode == 0
    assert desk.run("destroy.sh", "--with-profiles", typed="demo-project\n").returncode == 0
    said = (desk.folder / "said").read_text() + dry_run
    # One of each shape is enough: the same words, but for names, with the same flags.
    lines = {
        re.sub(r"=('[^']*'|\S*)|\S*(cdp|demo-project)\S*", "", line): re.sub(
            r"\$[A-Z_]+", "1", line
        )
        for command in commands(said)
        for line in re.findall(r"(?:^|\| )(gcloud .*)$", command)
    }.values()
    file = desk.folder / "commands.json"
    file.write_text(json.dumps([{"command_string": line} for line in sorted(lines)]))
    done = subprocess.run(
        [gcloud, "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        env={**os.environ, "CLOUDSDK_CONFIG": str(desk.folder / "sdk")},
        capture_output=True,
        text=True,
        check=False,
    )
    told, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert len(told) == len(lines) > 60
    assert [(of["command_string"], of["error_message"]) for of in told if not of["success"]] == []


def test_bq_knows_every_command_and_every_flag(dry_run: str) -> None:
    gcloud = Path(shutil.which("gcloud") or absent("needs gcloud to check commands against"))
    tree = gcloud.resolve().parents[1] / "data/cli/bq.json"
    known = json.loads(tree.read_text())
    for line in words(dry_run, "bq"):
        command = next(word for word in line[1:] if not word.startswith("--"))
        flags = {word.partition("=")[0] for word in line[1 : line.index(command)]}
        assert flags <= known["flags"].keys()
        assert command in known["commands"]
