"""`python -m cdp` is `cdp`."""

from cdp.cli.main import cdp

if __name__ == "__main__":
    cdp(prog_name="cdp")
