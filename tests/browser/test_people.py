"""Finding people and looking at them, in a browser."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from cdp.domain.pseudonym import pseudonym
from cdp.profiles.port import PROFILES, Put
from tests.browser.support import Page, Visitors, expect, sign_out_button
from tests.e2e.support import Cdp
from tests.people import audited

# What Streamlit, or a browser, would make something of.
TRICKS = "**b** https://x.example -> :smile: :streamlit: :material/home: a@x.example <b>b</b> $x$"


def title(page: Page, text: str | re.Pattern[str]):  # type: ignore[no-untyped-def]
    return page.get_by_role("heading", level=1, name=text).first


@pytest.fixture(scope="module")
def someone(generated: Cdp) -> tuple[str, str, str]:
    """Profile id, user id and e-mail address of somebody who consents to both being shown."""
    for profile_id, body in generated.documents().items():
        held = body.get("identifiers", {})
        if held.get("email") and held.get("user_id"):
            return profile_id, held["user_id"][0], held["email"][0]
    raise AssertionError("nobody has both")


def test_a_profiles_permalink_survives_sign_in_and_reload(
    visitors: Visitors, someone: tuple[str, str, str]
) -> None:
    profile_id, user_id, _ = someone
    page = visitors.signed_in("ada", f"/profile?profile={profile_id}&details=Fields")
    for _ in range(2):
        expect(title(page, user_id)).to_be_visible()
        expect(page.get_by_role("tab", name="Fields")).to_have_attribute("aria-selected", "true")
        assert f"profile={profile_id}" in page.url
        page.wait_for_function("document.cookie.includes('cdp_session=')")
        page.reload()


def test_a_search_lands_on_the_profile_and_back_leads_to_the_list(
    visitors: Visitors, someone: tuple[str, str, str]
) -> None:
    profile_id, _, email = someone
    page = visitors.signed_in("max", "/customers?order=id")
    addresses: list[str] = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    expect(title(page, "Customer Explorer")).to_be_visible()
    page.get_by_label("Find anyone").fill(email.upper())
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/profile?profile={profile_id}")
    expect(title(page, pseudonym(profile_id))).to_be_visible()
    assert email not in page.inner_text("body")
    page.go_back()
    expect(title(page, "Customer Explorer")).to_be_visible()
    page.wait_for_url("**/customers?order=id")
    assert [url for url in addresses if "@" in url or "%40" in url] == []


def rows(page: Page):  # type: ignore[no-untyped-def]
    return page.locator('[data-testid="stPageLink"] a[href*="profile="]:visible')


def test_all_customers_leads_back_to_the_list_that_was_left(visitors: Visitors) -> None:
    page = visitors.signed_in("max", "/customers?order=id&consent=analytics:granted")
    first = rows(page).first.inner_text()
    page.get_by_role("button", name="Next").first.click()
    page.wait_for_url(re.compile(r"/customers\?order=id&consent=\S+&after=\S+&page=2$"))
    expect(rows(page).first).not_to_have_text(first)
    expect(rows(page).nth(24)).to_be_visible()
    left = page.url
    listed = rows(page).all_inner_texts()
    rows(page).nth(3).click()
    page.wait_for_url("**/profile?profile=*")
    expect(title(page, listed[3])).to_be_visible()
    expect(page).to_have_title(listed[3])
    page.reload()
    expect(title(page, listed[3])).to_be_visible()
    page.go_back()
    page.wait_for_url(left)
    expect(rows(page).nth(24)).to_be_visible()
    assert rows(page).all_inner_texts() == listed
    rows(page).nth(3).click()
    expect(title(page, listed[3])).to_be_visible()
    page.get_by_role("link", name="All customers").click()
    page.wait_for_url(left)
    expect(title(page, "Customer Explorer")).to_be_visible()
    expect(page).to_have_title("Customer Explorer")
    expect(rows(page).nth(24)).to_be_visible()
    assert rows(page).all_inner_texts() == listed
    page.get_by_role("button", name="Next").first.click()
    page.wait_for_url("**&page=3")
    assert "profile=" not in page.url


def test_a_row_opens_from_the_keyboard(visitors: Visitors) -> None:
    page = visitors.signed_in("max", "/customers?order=id")
    name = rows(page).nth(1).inner_text()
    rows(page).first.focus()
    page.keyboard.press("Tab")
    expect(rows(page).nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(title(page, name)).to_be_visible()
    page.wait_for_url("**/profile?profile=*")


def test_on_a_phone_a_row_is_a_card_and_opens_by_tap(visitors: Visitors) -> None:
    page = visitors.signed_in("max", "/customers?order=id", width=390, height=844)
    expect(rows(page).nth(24)).to_be_visible()
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 390
    name = rows(page).nth(1).inner_text()
    rows(page).nth(1).tap()
    expect(title(page, name)).to_be_visible()
    page.wait_for_url("**/profile?profile=*")


def test_an_address_that_profiles_had_once_leads_to_the_profile_and_back_leaves_it(
    visitors: Visitors, someone: tuple[str, str, str]
) -> None:
    profile_id, user_id, _ = someone
    page = visitors.signed_in("ada")
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    page.goto("/pipeline")
    expect(title(page, "Pipeline Control")).to_be_visible()
    page.goto(f"/customers?profile={profile_id}&details=Fields")
    expect(title(page, user_id)).to_be_visible()
    expect(page.get_by_role("tab", name="Fields")).to_have_attribute("aria-selected", "true")
    page.wait_for_url(f"**/profile?profile={profile_id}&details=Fields")
    page.go_back()
    expect(title(page, "Customer Explorer")).to_be_visible()
    page.wait_for_url("**/customers")
    page.go_back()
    expect(title(page, "Pipeline Control")).to_be_visible()


def choose(page: Page, label: str, typed: str) -> None:
    page.get_by_role("button", name="Filters").click()
    box = page.get_by_role("combobox", name=re.compile(label))
    box.fill(typed)
    page.keyboard.press("Enter")


def test_a_filter_stands_in_the_address_and_back_takes_it_away(
    visitors: Visitors, generated: Cdp
) -> None:
    page = visitors.signed_in("max", "/customers?order=id")
    expect(title(page, "Customer Explorer")).to_be_visible()
    choose(page, "Country", "Germany")
    page.wait_for_url("**/customers?order=id&country=Germany")
    bodies = generated.documents().values()
    total = sum(body.get("ga4", {}).get("country") == "Germany" for body in bodies)
    expect(page.get_by_text(f"{total} profiles in this list")).to_be_visible()
    page.go_back()
    page.wait_for_url("**/customers?order=id")
    expect(page.get_by_text(f"{total} profiles in this list")).to_have_count(0)


def test_an_e_mail_address_typed_as_a_filter_stays_out_of_the_address(visitors: Visitors) -> None:
    page = visitors.signed_in("max", "/customers?order=id")
    expect(title(page, "Customer Explorer")).to_be_visible()
    choose(page, "Source", "ana@example.com")
    expect(page.get_by_text("and no e-mail address")).to_be_visible()
    assert page.url.endswith("/customers?order=id")


def test_an_admin_exports_a_filtered_list(
    visitors: Visitors, generated: Cdp, tmp_path: Path
) -> None:
    page = visitors.signed_in("ada", "/customers?order=id&stitched=yes")
    page.get_by_role("button", name="Export").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Export")
    expect(button).to_be_disabled()
    dialog.get_by_label("What are they for?").fill("summer campaign")
    page.keyboard.press("Tab")
    expect(button).to_be_enabled()
    with page.expect_download() as download:
        button.click()
    file = tmp_path / "profiles.csv"
    download.value.save_as(file)
    assert download.value.suggested_filename == "profiles.csv"
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8-sig"))))
    assert len(rows) > 5
    assert all(int(row["identifiers"]) > 1 for row in rows)
    told = audited(
        generated.platform.documents, "actor", "reason", "details", action="profiles:export"
    )
    filters = {"stitched": "yes", "order": "id"}
    assert told == [("ada", "summer campaign", {"filters": filters, "rows": len(rows)})]


def test_a_marketer_reveals_a_profile_with_a_reason(
    visitors: Visitors, generated: Cdp, someone: tuple[str, str, str]
) -> None:
    profile_id, user_id, email = someone
    page = visitors.signed_in("max", f"/profile?profile={profile_id}&details=Document")
    expect(title(page, pseudonym(profile_id))).to_be_visible()
    page.get_by_role("button", name="Reveal").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why do you need them?").fill("they asked us by phone")
    page.keyboard.press("Tab")
    dialog.get_by_role("button", name="Reveal").click()
    expect(title(page, user_id)).to_be_visible()
    expect(page.get_by_text("shown for a quarter of an hour")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert json.loads(download.value.path().read_text())["contact"]["email"] == email
    told = audited(
        generated.platform.documents, "actor", "target", "reason", action="profile:reveal"
    )
    assert told == [("max", profile_id, "they asked us by phone")]
    page.reload()
    expect(sign_out_button(page)).to_be_visible()
    expect(title(page, pseudonym(profile_id))).to_be_visible()


def test_whatever_somebody_is_called_is_shown_as_it_is(visitors: Visitors, generated: Cdp) -> None:
    body = {
        "identifiers": {"user_id": [TRICKS]},
        "consent": {"analytics": {"state": "granted"}},
        "ga4": {"country": TRICKS},
    }
    generated.platform.documents.commit([Put(PROFILES, "crm-tricks", body)])
    page = visitors.signed_in("ada", "/profile?profile=crm-tricks")
    heading = page.get_by_role("heading", level=1).filter(has_text="x.example").first
    expect(heading).to_have_text(TRICKS)
    assert heading.locator("a, b, strong, img, em, .katex").count() == 0
    facts = page.get_by_text(f"crm-tricks · {TRICKS}")
    expect(facts).to_be_visible()
    assert facts.locator("a, b, strong, img, em, .katex").count() == 0
