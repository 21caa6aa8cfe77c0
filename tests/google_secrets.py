"""What detect-secrets does not know: Google's keys, and the secrets that the platform makes."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class GoogleKeyDetector(RegexBasedDetector):
    """API keys, OAuth clients' secrets and refresh tokens."""

    secret_type = "Google key"
    denylist = (
        re.compile(r"AIza[0-9A-Za-z_-]{35}"),
        re.compile(r"GOCSPX-[0-9A-Za-z_-]{28}"),
        re.compile(r"\b1//0[0-9A-Za-z_-]{40,}"),
    )


class MadeSecretDetector(RegexBasedDetector):
    """A line of 64 hexadecimal digits and nothing else: a salt, or a key of cookies."""

    secret_type = "Salt or cookie key"
    denylist = (re.compile(r"^[0-9a-f]{64}$"),)
