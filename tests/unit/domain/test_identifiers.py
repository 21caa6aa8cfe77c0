"""Whoever looks somebody up need not know how identifiers are stored."""

import pytest

from cdp.domain.identifiers import spellings


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (" Ada@Example.COM ", ["Ada@Example.COM", "ada@example.com"]),
        ("+49 (151) 2345-678", ["+49 (151) 2345-678", "+491512345678"]),
        ("0049 151 2345678", ["0049 151 2345678", "+491512345678"]),
        ("1234567890.1700000000", ["1234567890.1700000000", "+12345678901700000000"]),
        ("U-17", ["U-17"]),
        ("p_81f", ["p_81f"]),
    ],
)
def test_it_is_tried_as_typed_and_as_stored(typed: str, found: list[str]) -> None:
    assert spellings(typed) == found
