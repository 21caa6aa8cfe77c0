"""Serve a Streamlit script and write down how long each run of it takes.

    python bench/console/server.py SCRIPT PORT TIMES

TIMES gets a line a run: the seconds that passed, and those of its thread's processor time.
"""

import sys
import threading
import time
from pathlib import Path

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.web import cli

script, port, times = sys.argv[1:4]
original = ScriptRunner._run_script
lock = threading.Lock()


def timed(self, rerun_data):
    """Run the script as ever, with a clock beside it."""
    wall, processor = time.perf_counter(), time.thread_time()
    try:
        return original(self, rerun_data)
    finally:
        line = f"{time.perf_counter() - wall:.6f} {time.thread_time() - processor:.6f}\n"
        with lock, Path(times).open("a") as file:
            file.write(line)


ScriptRunner._run_script = timed
cli.main(["run", script, f"--server.port={port}", "--server.address=127.0.0.1"])
