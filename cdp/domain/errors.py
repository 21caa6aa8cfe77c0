"""What can go wrong in words a person can act on; entry points show these without a traceback."""


class CdpError(Exception):
    """A condition a user or an operator can fix; the message names the fix."""


class InputError(CdpError):
    """Input that cannot be read; names the file and, where there is one, the line."""
