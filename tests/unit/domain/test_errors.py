"""What a workflow raised, as one line."""

from typing import Any

import pytest

from cdp.domain.errors import describe


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("stitching does not end", "stitching does not end"),
        ({"message": "no such thing"}, "no such thing"),
        ({"message": "no such thing", "code": 404}, "no such thing (code 404)"),
        (
            {"message": "HTTP server responded with error code 409", "code": 409}
            | {"body": {"error": "the lease is lost; refresh again"}},
            "the lease is lost; refresh again (code 409)",
        ),
        (
            {"message": "HTTP server responded with error code 403", "code": 403}
            | {"body": {"error": {"code": 403, "message": "Access Denied: Dataset d"}}},
            "Access Denied: Dataset d (code 403)",
        ),
        ({"a": [1]}, '{"a": [1]}'),
    ],
)
def test_the_words_of_whoever_failed_are_told(error: Any, told: str) -> None:
    assert describe(error) == told
