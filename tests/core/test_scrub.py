"""Secrets are masked by name, by form and by value; the rest is left as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.kind import MASK
from envoi.core.scrub import Scrubber, is_known_by_value, is_secret_name

SECRET = "Zq7hunter2xW"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQ\n-----END RSA PRIVATE KEY-----"

NAMES = [
    "password", "passwd", "PASS", "pwd", "user_password", "new-password", "passphrase",
    "secret", "SECRET_KEY", "client_secret", "api_key", "apikey", "API", "X-Api-Key",
    "token", "access_token", "csrfmiddlewaretoken", "xsrf", "auth", "Authorization",
    "WEBHOOK_AUTHORIZATION", "Proxy-Authorization", "sessionid", "PHPSESSION", "cookie",
    "Set-Cookie", "signature", "credentials", "private", "card_number", "cvv", "cvc", "iban",
    "jwt", "otp",
]  # fmt: skip
PLAIN = ["title", "author", "authors", "author_name", "keyword", "keyboard", "primary_key",
         "passenger", "compass", "name", "email", "url", "KeyError", "capital"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_called_so_is_a_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_called_otherwise_is_none(name):
    assert not is_secret_name(name)


FORMS = {
    "assignment": f"password={SECRET}",
    "spaces": f"password = {SECRET} and more",
    "colon": f"api_key: {SECRET}",
    "quoted": f"token='{SECRET} with spaces'",
    "escaped quote": f"token='it\\'s {SECRET}'",
    "dictionary": f"{{'user': 'ann', 'password': '{SECRET}'}}",
    "JSON": f'{{"client_secret": "{SECRET}"}}',
    "bytes": f"password=b'{SECRET}'",
    "query": f"https://wiki.test/reset?user=ann&token={SECRET}",
    "parameters": f"INSERT INTO users [parameters: {{'password': '{SECRET}'}}]",
    "JSON in JSON": f'"{{\\"password\\": \\"{SECRET}\\"}}"',
    "behind another name": f"url: https://wiki.test/?a=b&token={SECRET}",
    "within another value": f"note='the password={SECRET}'",
    "URL": f"postgresql://wiki:{SECRET}@db.test/wiki",
    "URL without a name": f"https://{SECRET}@github.test/wiki",
    "URL of a broker": f"amqp://wiki:{SECRET}@mq.test:5672/wiki refused",
    "Bearer": f"Bearer {SECRET}",
    "Authorization": f"Authorization: Bearer {SECRET}",
    "Authorization with parts": f'Authorization: Digest username="ann", response="{SECRET}"',
    "Basic": f"Basic {SECRET}==",
    "Cookie": f"Cookie: a=1; b={SECRET}",
    "Set-Cookie": f"set-cookie: wiki={SECRET}; Path=/",
    "JWT": JWT,
    "PEM": PEM,
    "PEM cut short": PEM[:50],
    "PEM as it is printed": repr(PEM),
    "card": "paid by 4111 1111 1111 1111 today",
    "card with dashes": "paid by 5500-0055-5555-5559 today",
    "card in one": "paid by 4111111111111111 today",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "GitHub": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitLab": "glpat-20AbcDefGhiJklMnoPqr",
    "Slack": "xoxb-123456789012-abcdefghij",
    "Stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "Google": "AIzaSyA-1234567890abcdefghijklmnopqrs",
}
# What must not be left of the forms that do not hold SECRET.
LEFT = (SECRET, "eyJhbGci", "MIIEp", "1111", "5555", "FODNN7", "16C7e42F", "20AbcDef",
        "abcdefghij", "4eC39Hq")  # fmt: skip


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_a_secret_is_masked_whatever_it_stands_in(text):
    scrubbed = Scrubber().text(f"before {text}")

    assert MASK in scrubbed
    assert [left for left in LEFT if left in scrubbed] == []
    assert scrubbed.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "the author: ann",
        "Basic authentication is needed",
        "order 4111111111111112 of 2026-03-01 12:30",
        "no page 'docs' at https://wiki.test/pages/7?draft=1#top",
        "KeyError: 'name'",
        "mail to ann@example.org",
        "ratio = 1/2",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert Scrubber().text(text) == text


def test_a_known_value_is_masked_wherever_it_stands():
    scrubber = Scrubber([SECRET, "pä55wörd"])

    assert scrubber.text(f"no {SECRET}, and no pä55wörd") == f"no {MASK}, and no {MASK}"
    assert scrubber.text(ascii("pä55wörd")) == f"'{MASK}'"


def test_the_longer_of_two_values_is_masked_first():
    assert Scrubber(["hunter2", "hunter2-and-more"]).text("hunter2-and-more") == MASK


@pytest.mark.parametrize(
    ("name", "value", "is_known"),
    [
        ("password", "hunter2", True),
        ("password", "yes", False),
        ("password", "x" * 10_001, False),
        ("key", "filename", False),
        ("author", "Ann Lee", False),
    ],
)
def test_only_values_that_are_secrets_for_sure_are_looked_for(name, value, is_known):
    assert is_known_by_value(name, value) is is_known


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"connect(password='{SECRET}')", f"connect(password={MASK})"),
        (f'TOKEN = "{SECRET}"', f"TOKEN = {MASK}"),
        (f"headers = {{'api-key': b'{SECRET}'}}", f"headers = {{'api-key': {MASK}}}"),
        ("token = token_of(user)", "token = token_of(user)"),
        ("password: str = field(repr=False)", "password: str = field(repr=False)"),
        (f"url = 'https://wiki:{SECRET}@h/'", f"url = 'https://wiki:{MASK}@h/'"),
        (f'get("/in?page=2&token={SECRET}", 1)', f'get("/in?page=2&token={MASK}", 1)'),
        ("say(f'token={token}, {user}')", "say(f'token={token}, {user}')"),
    ],
)
def test_of_source_only_literals_are_masked(line, shown):
    assert Scrubber().source(line) == shown


def test_a_scrubber_shows_nothing_of_what_it_knows():
    assert SECRET not in repr(Scrubber([SECRET]))


@given(st.text(max_size=300))
def test_any_text_can_be_scrubbed(text):
    scrubber = Scrubber([SECRET])

    assert SECRET not in scrubber.text(f"{text}{SECRET}")
    assert SECRET not in scrubber.source(f"{SECRET}{text}")
