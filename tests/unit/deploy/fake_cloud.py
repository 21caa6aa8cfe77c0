"""Stands in for `gcloud` and `bq`: keeps what was made in a file, and logs every call.

Run as `fake_cloud.py FOLDER gcloud|bq WORD...`. `FOLDER/state.json` holds what exists,
`FOLDER/calls` a line of JSON a call that changes something. With `FAKE_BREAKS_AFTER=N` all changes
after the N-th fail. It knows no rule of Google's: flags are checked against the real gcloud.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

READS = {"describe", "list", "get-iam-policy", "show", "print-access-token"}
NUMBER = "123456789012"


class Fake:
    def __init__(self, folder: Path, tool: str, words: list[str]) -> None:
        self.file = folder / "state.json"
        self.log = folder / "calls"
        self.state: dict[str, Any] = (
            json.loads(self.file.read_text())
            if self.file.exists()
            else {"things": {}, "rights": {}, "indexes": [], "fields": [], "apis": []}
        )
        self.tool = tool
        self.words = [word for word in words if not word.startswith("--")]
        self.flags = dict(
            word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--")
        )

    @property
    def verb(self) -> str:
        return next((word for word in self.words if word in READS), "")

    def run(self) -> str:
        if self.verb:
            return self.bq_show() if self.tool == "bq" else self.read()
        done = self.log.read_text().count("\n") if self.log.exists() else 0
        if done >= int(os.environ.get("FAKE_BREAKS_AFTER", "1000000")):
            sys.exit("ERROR: the line is cut")
        self.change_dataset() if self.tool == "bq" else self.change()
        self.file.write_text(json.dumps(self.state))
        with self.log.open("a") as log:
            log.write(json.dumps([self.tool, *self.words]) + "\n")
        return ""

    # --- gcloud ---------------------------------------------------------------------------------

    def read(self) -> str:
        path = " ".join(self.words)
        told = self.state.get("told", {})
        if "auth" in self.words:
            return str(told.get("account", "ada@example.com"))
        if path.startswith("projects describe"):
            return NUMBER if "projectNumber" in self.flags["format"] else "ACTIVE"
        if path.startswith("billing"):
            return str(told.get("billing", "True"))
        if path == "services list":
            return "\n".join(self.state["apis"])
        if path == "run regions list":
            return "europe-west1\neurope-west4"
        if path == "firestore indexes composite list":
            return json.dumps(self.state["indexes"])
        if path == "firestore indexes fields list":
            return json.dumps(self.state["fields"])
        if "get-iam-policy" in self.words:
            if self.words[0] == "run" and self.key() not in self.state["things"]:
                self.absent()
            return "\n".join(self.state["rights"].get(self.key(), ()))
        if path == "beta monitoring channels list":
            return "channels/1" if "channel" in self.state["things"] else ""
        if path == "alpha monitoring policies list":
            name = re.search(r'cdp="(.+)"', self.flags["filter"])[1]
            stamp = self.state["things"].get(f"alert {name}")
            return f"policies/{name} {stamp}" if stamp else ""
        if self.key() not in self.state["things"]:
            self.absent()
        if "locationId" in self.flags.get("format", ""):
            return "FIRESTORE_NATIVE\teur3"
        return str(self.state["things"][self.key()])

    def absent(self) -> None:
        sys.exit(f"ERROR: NOT_FOUND: {self.key()}")

    def key(self) -> str:
        """Return what names a thing, whatever is done to it."""
        deeds = {"describe", "create", "update", "deploy", "delete", "add", "http", "beta"}
        deeds |= {"get-iam-policy", "add-iam-policy-binding", "remove-iam-policy-binding"}
        named = [word for word in self.words if word not in deeds]
        if named[:2] == ["run", "services"]:
            named.remove("services")
        name = [self.flags[f] for f in ("database", "service", "secret") if f in self.flags]
        if "versions" in named:  # described by number, added by name of the secret
            return f"version of {self.flags.get('secret', named[-1])}"
        return " ".join(named + name)

    def change(self) -> None:
        things, path = self.state["things"], " ".join(self.words)
        labels = dict(
            pair.split("=")
            for name in ("labels", "update-labels", "user-labels", "update-user-labels")
            for pair in filter(None, self.flags.get(name, "").split(","))
        )
        if path.startswith("services enable"):
            self.state["apis"] += self.words[2:]
        elif "add-iam-policy-binding" in self.words:
            title = re.search(r"title=(.*)$", self.flags.get("condition", ""))
            right = f"{self.flags['role']} {self.flags['member']} {title[1] if title else ''}"
            self.state["rights"].setdefault(self.key(), []).append(right)
        elif "remove-iam-policy-binding" in self.words or path.startswith("beta services identity"):
            pass
        elif path.startswith("firestore indexes composite"):
            self.state["indexes"].append(self.index())
        elif path.startswith("firestore indexes fields"):
            group = f"p/collectionGroups/{self.flags['collection-group']}/fields/{self.words[-1]}"
            self.state["fields"].append({"name": group, "indexConfig": {"indexes": []}})
        elif path.startswith("beta monitoring channels"):
            things["channel"] = True
        elif path.startswith("alpha monitoring policies"):
            things[f"alert {labels['cdp']}"] = labels["stamp"]
        elif path.startswith("secrets versions add"):
            secret = sys.stdin.read()
            assert re.fullmatch("[0-9a-f]{64}", secret)
            (self.file.parent / f"secret-{self.words[-1]}").write_text(secret)
            things[self.key()] = "ENABLED"
        elif "delete" in self.words or path.startswith(("storage rm", "firestore bulk-delete")):
            things.pop(self.key(), None)
        else:
            things[self.key()] = labels.get("cdp", self.flags.get("description", "made"))

    def index(self) -> dict[str, Any]:
        return {
            "name": f"p/collectionGroups/{self.flags['collection-group']}/indexes/1",
            "queryScope": "COLLECTION",
            # Only the last of several flags of one name is kept here: the file has two fields.
            "fields": [
                {"fieldPath": "sync.state", "order": "ASCENDING"},
                {"fieldPath": "ga4.last_seen", "order": "DESCENDING"},
                {"fieldPath": "__name__", "order": "DESCENDING"},
            ],
        }

    # --- bq -------------------------------------------------------------------------------------

    def bq_show(self) -> str:
        name = self.words[-1]
        export = self.state.get("told", {}).get("export", "EU")
        if name.endswith(":analytics_1") and export:
            return json.dumps({"location": export, "access": self.state["rights"].get(name, [])})
        if name not in self.state["things"]:
            print(f"BigQuery error in show operation: Not found: Dataset {name}")
            sys.exit(2)
        return json.dumps({"location": "EU", "access": self.state["rights"].get(name, [])})

    def change_dataset(self) -> None:
        if self.words[0] == "mk":
            self.state["things"][self.words[-1]] = "made"
        elif self.words[0] == "query" and self.words[-1].startswith("GRANT"):
            said = re.fullmatch(
                r'GRANT `(.+)` ON SCHEMA `(.+)`\.`(.+)` TO "serviceAccount:(.+)"', self.words[-1]
            )
            short = {"roles/bigquery.dataViewer": "READER", "roles/bigquery.dataEditor": "WRITER"}
            right = {"role": short.get(said[1], said[1]), "userByEmail": said[4]}
            self.state["rights"].setdefault(f"{said[2]}:{said[3]}", []).append(right)
        elif self.words[0] == "rm":
            self.state["things"].pop(self.words[-1])


if __name__ == "__main__":
    print(Fake(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]).run())
