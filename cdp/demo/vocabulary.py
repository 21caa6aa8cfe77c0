"""Words of the demo property: no real domain, no number that anyone can be called on."""

from typing import Final

_FIRST_NAMES: Final = """
    ada alma amir anna anton ben carla chloe clara daan dario elif elin emil emma enzo eva felix
    fatima greta hana hugo ida igor ines ivan jana jonas julia karim kofi lara lea leo lina luca
    maja malik maria mateo mia milan nadia nina noah nora olga omar oskar paula pavel petra rosa
    samir sara selma sofia theo tilda tomas vera viktor yara yusuf zoe
"""
_LAST_NAMES: Final = """
    adler bach bauer becker berg blanc brandt costa dahl diaz dubois eder fischer fontana garcia
    haas hansen huber ivanov jansen keller klein koch kovac lang lange larsen lindner lopez maier
    marino martin moreau moser nagy neumann novak olsen peters petrov pohl reyes ricci roth rossi
    sauer schmid schulz seidel silva simon stern thoma urban vidal vogel wagner weber wolf ziegler
"""
FIRST_NAMES: Final = _FIRST_NAMES.split()
LAST_NAMES: Final = _LAST_NAMES.split()

# Ranges set aside for fiction: ARCEP decision 2018-0881 (France) and NANP 555-0100 to 555-0199.
PHONE_RANGES: Final = (
    *((prefix, 4) for prefix in ("+3319900", "+3326191", "+3335301", "+3346571", "+3353649")),
    ("+3363998", 4),
    *((f"+1{area}55501", 2) for area in range(201, 990)),
)  # (prefix, free digits)

JUNK_EMAIL: Final = "test@test.com"
JUNK_VALUES: Final = ("null", "(not set)", "undefined")
TRAP_USER_IDS: Final = ("(not set)", "null", "anonymous", "0")

# (city, region, country, language, share)
CITIES: Final = (
    ("Berlin", "Berlin", "Germany", "de-de", 0.22),
    ("Hamburg", "Hamburg", "Germany", "de-de", 0.12),
    ("Munich", "Bavaria", "Germany", "de-de", 0.12),
    ("Cologne", "North Rhine-Westphalia", "Germany", "de-de", 0.09),
    ("Leipzig", "Saxony", "Germany", "de-de", 0.06),
    ("Vienna", "Vienna", "Austria", "de-at", 0.08),
    ("Zurich", "Zurich", "Switzerland", "de-ch", 0.06),
    ("Paris", "Ile-de-France", "France", "fr-fr", 0.07),
    ("Lyon", "Auvergne-Rhone-Alpes", "France", "fr-fr", 0.04),
    ("Madrid", "Community of Madrid", "Spain", "es-es", 0.04),
    ("Amsterdam", "North Holland", "Netherlands", "nl-nl", 0.04),
    ("Warsaw", "Masovian Voivodeship", "Poland", "pl-pl", 0.03),
    ("(not set)", "(not set)", "Germany", "en-us", 0.03),
)

# (stream_id, hostname); the app's stream has no host
STREAMS: Final = (("3100000001", "www.example.com"), ("3100000002", "journal.example.org"))
APP_STREAM: Final = "3100000003"
SHOP, JOURNAL, APP = range(3)

# (category, operating system, browser, platform); the last two are the app's
MODELS: Final = (
    ("desktop", "Windows", "Chrome", "WEB"),
    ("desktop", "Windows", "Edge", "WEB"),
    ("desktop", "Macintosh", "Safari", "WEB"),
    ("desktop", "Linux", "Firefox", "WEB"),
    ("mobile", "iOS", "Safari", "WEB"),
    ("mobile", "Android", "Chrome", "WEB"),
    ("tablet", "iOS", "Safari", "WEB"),
    ("mobile", "Android", None, "ANDROID"),
    ("mobile", "iOS", None, "IOS"),
)
WEB_MODELS: Final = 7

# (source, medium, campaign, share); the paid Google campaigns carry a gclid
SOURCES: Final = (
    ("(direct)", "(none)", None, 0.36),
    ("google", "organic", None, 0.27),
    ("bing", "organic", None, 0.04),
    ("partner.example.org", "referral", None, 0.06),
    ("newsletter", "email", "autumn_offers", 0.06),
    ("newsletter", "email", "welcome_series", 0.03),
    ("facebook", "paid_social", "retargeting_q4", 0.05),
    ("google", "cpc", "brand_search", 0.08),
    ("google", "cpc", "shopping_all", 0.05),
)
FIRST_PAID_GOOGLE: Final = 7

# (path, title, share of page loads); products come after these
PAGES: Final = (
    ("/", "Home", 0.22),
    ("/new", "New arrivals", 0.10),
    ("/sale", "Sale", 0.09),
    ("/category/lamps", "Lamps", 0.08),
    ("/category/chairs", "Chairs", 0.08),
    ("/stories/oak", "Where our oak grows", 0.04),
    ("/stories/repair", "How to repair a chair", 0.04),
    ("/help/delivery", "Delivery", 0.03),
    ("/contact", "Contact", 0.05),
    ("/newsletter", "Newsletter", 0.03),
    ("/account", "Your account", 0.02),
)
FORM_PAGES: Final = (8, 9)  # contact and newsletter
PRODUCT_SHARE: Final = 0.22
CHECKOUT: Final = ("/checkout", "Checkout")
THANKS: Final = ("/checkout/thanks", "Thank you")

# (category, thing, price in EUR)
_THINGS: Final = (
    ("Lamps", "Desk lamp", 49.0),
    ("Lamps", "Floor lamp", 129.9),
    ("Lamps", "Lantern", 24.5),
    ("Chairs", "Stool", 59.0),
    ("Chairs", "Armchair", 349.0),
    ("Chairs", "Bench", 189.0),
    ("Textiles", "Blanket", 79.95),
    ("Textiles", "Cushion", 29.0),
)
_FINISHES: Final = (("Oak", 1.2), ("Ash", 1.1), ("Walnut", 1.5), ("Black", 1.0), ("Moss", 1.05))
# (item_id, name, brand, category, price)
PRODUCTS: Final = tuple(
    (
        f"SKU-{1000 + 10 * t + f}",
        f"{thing}, {finish}",
        "Example Home",
        category,
        round(price * x, 2),
    )
    for t, (category, thing, price) in enumerate(_THINGS)
    for f, (finish, x) in enumerate(_FINISHES)
)
