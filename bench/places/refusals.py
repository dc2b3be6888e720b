"""What stores and their clients answer when something is wrong, told in one sentence.

Never in an error's own words: those may hold an address with a secret, or a key.
"""

import errno
import re

from bench.errors import UserError

PASSING = frozenset(
    {
        "TimeoutError",
        "ConnectionError",
        "HTTPClientError",
        "ClientError",
        "IncompleteRead",
        "IncompleteReadError",
        "ResponseParserError",
    }
)
"""Classes of errors, of Python and of stores' clients, after which another try may go well."""
BUSY = frozenset({errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO)})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
UNKNOWN_USER = re.compile("Credential|ProfileNotFound|TokenRetriev|RefreshError|UnauthorizedSSO")
GIVEN = (
    "give them as the store's own tools take them, for S3 as AWS_PROFILE or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY"
)
"""How stores are told who asks."""


def may_pass(error: Exception) -> bool:
    """Whether the same may go well a moment later."""
    if isinstance(error, PermissionError | FileExistsError | FileNotFoundError):
        return False
    classes = {each.__name__ for each in type(error).__mro__}
    busy = isinstance(error, OSError) and error.errno in BUSY
    return busy or bool(classes & PASSING)


def is_taken(error: Exception) -> bool:
    """Whether a condition on writing did not hold."""
    return isinstance(error, FileExistsError) or _code(error) == "PreconditionFailed"


def is_unheard_of(error: Exception) -> bool:
    """Whether a store, or its client, knows of no conditions."""
    if isinstance(error, NotImplementedError | TypeError | ValueError):
        return True
    return isinstance(error, OSError) and error.errno == errno.ENOSYS


def is_absent(error: Exception) -> bool:
    """Whether there is no such object, in a bucket that there may be."""
    return isinstance(error, FileNotFoundError) and _code(error) != "NoSuchBucket"


def refusal(url: str, error: Exception) -> UserError:
    """What is wrong with the place ``url``, and what to do."""
    kind = _code(error) or type(error).__name__
    if UNKNOWN_USER.search(type(error).__name__):
        return UserError(f"There are no credentials for {url} ({kind}); {GIVEN}.")
    if isinstance(error, PermissionError) or kind in {"401", "403"}:
        return UserError(
            f"The credentials at hand do not allow to read and write {url}, or have expired "
            f"({kind}); renew them and run the same command again, or choose another place."
        )
    if isinstance(error, FileNotFoundError):
        bucket = "/".join(url.split("/")[:3])
        return UserError(f"There is no bucket {bucket}; create it, or choose another place.")
    if isinstance(error, OSError) and error.errno in FULL:
        return UserError(
            f"The disk of this machine is full, and no more of {url} can be kept on it: free some "
            "space, or let SUBJECTBENCH_CACHE name a folder on a larger disk, and run the same "
            "command again; everything on the store is kept."
        )
    if may_pass(error):
        return UserError(
            f"{url} does not answer ({kind}); see that its endpoint can be reached, and run the "
            "same command again: everything finished is kept."
        )
    return UserError(
        f"{url} refuses what it is asked ({kind}); see that address, endpoint and region are right."
    )


def _code(error: Exception) -> str:
    """What the store itself calls an error, a word or number; empty where it did not speak."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return re.sub(r"\W", "", str(code or getattr(error, "code", None) or ""))
