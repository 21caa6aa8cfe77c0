"""How much of an identifier is shown."""

import pytest

from cdp.domain.access import mask


@pytest.mark.parametrize(
    ("type", "value", "shown"),
    [
        ("email", "ana.weber@example.com", "a•••@e•••.com"),
        ("email", "ana@localhost", "a•••@•••"),
        ("email", "@", "•••@•••"),
        ("phone", "+4915112345622", "+49•••22"),
        ("phone", "+4912345", "•••"),
        ("user_id", "88213007", "•••07"),
        ("user_id", "ana", "•••"),
        ("client_id", "1021.77", "•••77"),
        ("something", "1234567", "•••67"),
    ],
)
def test_a_mask_keeps_little(type, value, shown):
    assert mask(type, value) == shown
