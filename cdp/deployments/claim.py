"""Mark the document store as this platform's, before anything is written: `deploy.sh` runs it.

python -m cdp.deployments.claim
"""

import sys

from cdp.deployments.build import build
from cdp.domain.errors import CdpError
from cdp.settings import Settings

if __name__ == "__main__":
    try:
        _ = build(Settings.load()).documents  # opening it claims it, or says whose it is
    except CdpError as problem:
        sys.exit(str(problem))
