"""Write the folder that Cloud Run functions are built from: `python -m functions.package FOLDER`.

It holds no more than the functions need, and the same files make the same folder.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FUNCTIONS: Final = ("main.py", "logs.py")
# The console, the command line and the embedded deployment stay at home.
LEFT_OUT: Final = (
    "__main__.py",
    "cli",
    "demo",
    "deployments/claim.py",
    "deployments/embedded.py",
    "executions/local.py",
    "governance",
    "objects/folder.py",
    "profiles/sqlite.py",
    "profiles/sqlite_lists.py",
    "queue/local.py",
    "queue/worker.py",
    "refresh/connectors.py",
    "refresh/follow.py",
    "sqlite_file.py",
    "ui",
    "warehouse/dialect.py",
    "warehouse/duckdb.py",
    "warehouse/forgetting.py",
    "warehouse/ga4_files.py",
    "warehouse/row_files.py",
    "warehouse/sources.py",
    "workflow_engine",
)
MAIN: Final = '''"""Where Cloud Run looks for the entry points."""

from functions.main import bury, ingest, steps

__all__ = ["bury", "ingest", "steps"]
'''


def package(folder: Path) -> list[str]:
    """Write the folder's files in place of those that it held; return their names, sorted.

    Raises:
        FileExistsError: there is such a folder, and this program did not write it.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "functions" / "main.py").is_file():
            raise FileExistsError(f"{folder} holds something else; name another folder")
        shutil.rmtree(folder)
    left_out = {ROOT / "cdp" / name for name in LEFT_OUT}
    found = [
        path
        for path in (ROOT / "cdp").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not left_out & {path, *path.parents}
    ]
    texts = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}
    for name in FUNCTIONS:
        texts[f"functions/{name}"] = (ROOT / "functions" / name).read_bytes()
    texts["requirements.txt"] = (ROOT / "functions" / "requirements.txt").read_bytes()
    texts["main.py"] = MAIN.encode()
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return sorted(texts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m functions.package FOLDER")
    print(f"{len(package(Path(sys.argv[1])))} files in {sys.argv[1]}")  # noqa: T201
