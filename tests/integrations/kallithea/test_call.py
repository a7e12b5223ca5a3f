"""One call of `send_email` is read as one mail, whatever it holds."""

import pytest

from envoi.core.kind import MailClass
from envoi.core.message import Identity
from envoi.core.people import Address, Mailbox
from envoi.core.ready import check_ready
from envoi.errors import InputError
from envoi.integrations.kallithea.call import TYPE_HEADER, Call, read_call, references_of
from envoi.integrations.kallithea.tokens import masked, tokens_in
from envoi.journal import Fact
from tests.core.samples import HOSTILE_LINES

OURS = Mailbox(Address("kallithea", "example.org"), "Kallithea Server")
IDENTITY = Identity(sender=OURS, prefix="[Kal]", type_header=TYPE_HEADER)
TOKEN = "9c1185a5c5e9fc54612808977ee8f548b2258d31"
NOON_MS = 1_772_366_400_000
REVISION = "98bbf755e50bd5dcf1ff2813f23359ca34b6f124"


def read(recipients=("ann@example.org",), subject="Hi", body="Hello", **named):
    return read_call(
        Call(recipients=list(recipients), subject=subject, body=body, **named),
        IDENTITY,
        "main",
        NOON_MS,
    )


class TestWords:
    @pytest.mark.parametrize(
        ("subject", "expected"),
        [
            ("[Comment] docs", "[Kal] [Comment] docs"),
            ("two\nlines", "[Kal] two lines"),
            ("", "[Kal] (no subject)"),
            ("x" * 300, "[Kal] " + "x" * 248 + "…"),
        ],
        ids=["bracket", "line break", "empty", "long"],
    )
    def test_subject_has_the_prefix_and_one_line(self, subject, expected):
        assert read(subject=subject).mail.subject == expected

    def test_no_prefix_leaves_no_space(self):
        call = Call(recipients=["ann@example.org"], subject="Hi", body="Hello")

        assert read_call(call, Identity(sender=OURS), "main", NOON_MS).mail.subject == "Hi"

    def test_both_parts_are_as_composed(self):
        mail = read(body="a\nb\n", html_body="<p>a<br>b</p>").mail

        assert (mail.text, mail.html) == ("a\nb\n", "<p>a<br>b</p>")

    def test_without_html_the_mail_has_one_part_that_every_reader_shows(self):
        assert read(body="The password was changed.").mail.html == ""

    def test_mail_that_says_nothing_says_its_subject(self):
        assert read(body="").mail.text == "[Kal] Hi\n"

    @pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
    def test_whatever_a_call_holds_can_be_sent(self, value):
        mail = read(
            subject=value,
            body=value,
            html_body=value,
            from_name=value,
            headers={"References": f"<{value}>", "X-A": value, value: "1"},
        ).mail

        assert check_ready(mail) == ()


class TestSender:
    @pytest.mark.parametrize(
        ("from_name", "expected"),
        [
            ("Ann Lee", "Ann Lee (no-reply)"),
            ('Ann "The Fox" Lee', 'Ann "The Fox" Lee (no-reply)'),
            ("Ann (home) O\\Lee", "Ann (home) O\\Lee (no-reply)"),
            ("Jürgen Größe", "Jürgen Größe (no-reply)"),
            ("Ann <ceo@bank.test>", "Ann ceo bank.test (no-reply)"),
            ("Ann\nBcc: x@y.test", "Ann Bcc: x y.test (no-reply)"),
        ],
    )
    def test_is_who_caused_it_with_our_address(self, from_name, expected):
        assert read(from_name=from_name).mail.sender == Mailbox(OURS.address, expected)

    def test_is_the_configured_one_when_nobody_caused_it(self):
        assert read().mail.sender is None

    def test_is_the_configured_one_when_the_name_is_empty(self):
        assert read(from_name="").mail.sender == OURS


class TestRecipients:
    def test_several_see_one_another(self):
        mail = read(["ann@example.org", "bob@example.org"]).mail

        assert [str(box.address) for box in mail.to] == ["ann@example.org", "bob@example.org"]

    def test_one_who_is_named_twice_gets_one(self):
        mail = read(["ann@example.org", "Ann@example.org", "ann@example.org"]).mail

        assert [str(box.address) for box in mail.to] == ["ann@example.org"]

    @pytest.mark.parametrize("stranger", [None, "", "no address", "a@b@c", "x@localhost", 7])
    def test_one_who_cannot_be_written_to_is_left_out_and_named(self, stranger):
        found = read([stranger, "ann@example.org"])

        assert [str(box.address) for box in found.mail.to] == ["ann@example.org"]
        assert [doubt.fact for doubt in found.doubts] == [Fact.RECIPIENT_LEFT_OUT]

    def test_an_empty_list_goes_to_those_who_answer(self):
        mail = read([]).mail

        assert (mail.to, mail.to_fallback) == ((), True)

    def test_a_list_of_unusable_addresses_goes_to_nobody(self):
        with pytest.raises(InputError, match="not a usable e-mail address"):
            read(["no address"])

    @pytest.mark.parametrize("recipients", [None, "ann@example.org", 7, {"ann@example.org": 1}])
    def test_what_is_no_list_is_refused(self, recipients):
        call = Call(recipients=recipients, subject="Hi", body="Hello")

        with pytest.raises(InputError, match=r"^recipients: expected a list of addresses"):
            read_call(call, IDENTITY, "main", NOON_MS)


class TestHeaders:
    def test_type_is_message_where_none_is_given(self):
        assert read().mail.headers == ((TYPE_HEADER, "message"),)

    def test_type_is_as_given_in_any_case_and_once(self):
        headers = {"x-kallithea-notification-type": "cs_comment"}

        assert read(headers=headers).mail.headers == (
            ("x-kallithea-notification-type", "cs_comment"),
        )

    def test_type_also_stands_under_a_configured_name(self):
        call = Call(
            recipients=["ann@example.org"],
            subject="Hi",
            body="Hello",
            headers={TYPE_HEADER: "registration"},
        )

        mail = read_call(call, Identity(sender=OURS, type_header="X-Ours"), "main", NOON_MS).mail

        assert set(mail.headers) == {(TYPE_HEADER, "registration"), ("X-Ours", "registration")}

    def test_of_two_that_differ_in_case_the_last_counts(self):
        headers = {"X-A": "1", "x-a": "2"}

        assert ("x-a", "2") in read(headers=headers).mail.headers
        assert ("X-A", "1") not in read(headers=headers).mail.headers

    def test_the_callers_dict_is_unchanged(self):
        headers = {"X-A": "1", "to": "x@y.test", "References": "<a@b>"}

        read(headers=headers)

        assert headers == {"X-A": "1", "to": "x@y.test", "References": "<a@b>"}

    @pytest.mark.parametrize(
        "name",
        ["to", "From", "BCC", "Message-ID", "Date", "in-reply-to", "Content-Type", "no name", ""],
    )
    def test_one_that_is_ours_is_ignored_and_named(self, name):
        found = read(headers={name: "x@y.test"})

        assert found.mail.headers == ((TYPE_HEADER, "message"),)
        assert [doubt.fact for doubt in found.doubts] == [Fact.HEADER_IGNORED]

    def test_a_line_break_in_a_value_is_a_space(self):
        headers = read(headers={"X-A": "1\r\nBcc: x@y.test"}).mail.headers

        assert ("X-A", "1 Bcc: x@y.test") in headers

    @pytest.mark.parametrize("headers", [None, {}, {"X-A": None}, "X-A: 1"])
    def test_none_are_fine(self, headers):
        assert read(headers=headers).mail.headers == ((TYPE_HEADER, "message"),)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "<docs-pr-7@example.org> <docs-pr-7-line-n12@example.org>",
            ("docs-pr-7@example.org", "docs-pr-7-line-n12@example.org"),
        ),
        ("<grp/docs-pr-7@example.org>", ("grp/docs-pr-7@example.org",)),
        ("<my docs@example.org>", ("my=20docs@example.org",)),
        ("<größe@example.org>", ("gr=C3=B6=C3=9Fe@example.org",)),
        ("<a@b> <a@b>", ("a@b",)),
        ("no ids", ()),
        ("", ()),
    ],
)
def test_references_are_as_passed(value, expected):
    assert references_of(value) == expected


def test_two_long_references_that_begin_alike_stay_apart():
    first, second = references_of(f"<{'x' * 1000}1@b> <{'x' * 1000}2@b>")

    assert first != second
    assert len(first) == len(second) == 200


RESET = f"""Hello,
https://code.example.org/reset?email=ann%40example.org&timestamp=1&token={TOKEN}

{TOKEN}
"""


class TestTokens:
    def test_of_a_mail_without_type_are_secrets(self):
        mail = read(body=RESET, html_body=f'<a href="/r?a=1&amp;token={TOKEN}">x</a>').mail

        assert (mail.secrets, mail.mail_class) == ((TOKEN,), MailClass.SECURITY)

    def test_are_worth_a_day_as_the_mail_is_then(self):
        mail = read(body=RESET).mail

        assert (mail.occurred_at_ms, mail.lifetime_s) == (NOON_MS, 86_400)
        assert read(body="Hello").mail.lifetime_s == 0

    def test_are_not_looked_for_in_a_comment_which_names_revisions(self):
        mail = read(body=REVISION, headers={TYPE_HEADER: "cs_comment"}).mail

        assert (mail.secrets, mail.mail_class) == ((), MailClass.NOTICE)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("https://a.test/?key=abcdef1", ("abcdef1",)),
            ("https://a.test/?a=1&amp;TOKEN=abcdef1&b=2", ("abcdef1",)),
            ("https://a.test/?page=abcdef1", ()),
            ("The token is in your bag", ()),
            ("98bbf755e50b is a short revision", ()),
            ("d41d8cd98f00b204e9800998ecf8427e", ("d41d8cd98f00b204e9800998ecf8427e",)),
        ],
    )
    def test_are_digests_and_link_values_of_telling_names(self, text, expected):
        assert tokens_in(text) == expected

    @pytest.mark.parametrize("typed", ["mi\u212ae@example.org", "mike@ex\u00e4mple.org"])
    def test_go_to_no_address_that_only_a_database_finds_equal(self, typed):
        with pytest.raises(InputError, match="addresses in ASCII only"):
            read([typed], body=RESET)

        assert read([typed], body="Hello").mail.to

    def test_of_a_subject_are_masked_in_a_log(self):
        assert masked(f"Reset {TOKEN}!") == "Reset ********!"


class TestLinkWithAToken:
    HOME = Identity(sender=OURS, base_url="https://code.example.org/kal")

    def read(self, body, html="", identity=HOME, headers=None):
        call = Call(
            recipients=["ann@example.org"],
            subject="Hi",
            body=body,
            html_body=html,
            headers=headers,
        )
        return read_call(call, identity, "main", NOON_MS)

    @pytest.mark.parametrize(
        "site",
        [
            "https://evil.test",
            "http://evil.test:8080",
            "https://code.example.org@evil.test",
            "https://code.example.org.evil.test",
            "HTTPS://evil.test\\",
            "https://",
        ],
    )
    def test_leads_to_the_site_of_the_settings_and_is_told(self, site):
        found = self.read(f"{site}/kal/reset?token={TOKEN}\n", f'<a href="{site}/r?token={TOKEN}">')

        assert found.mail.text == f"https://code.example.org/kal/reset?token={TOKEN}\n"
        assert found.mail.html == f'<a href="https://code.example.org/r?token={TOKEN}">'
        assert [(doubt.fact, doubt.what) for doubt in found.doubts] == [(Fact.LINK_MOVED, site)]

    @pytest.mark.parametrize("site", ["https://code.example.org", "https://CODE.example.org:443"])
    def test_that_leads_there_is_nothing_to_tell_of(self, site):
        found = self.read(f"{site}/kal/reset?token={TOKEN}\n")

        assert found.mail.text == f"https://code.example.org/kal/reset?token={TOKEN}\n"
        assert found.doubts == ()

    def test_of_a_folder_holds_the_token_there_too(self):
        found = self.read(f"https://evil.test/reset/{TOKEN}/now\n")

        assert found.mail.text == f"https://code.example.org/reset/{TOKEN}/now\n"

    @pytest.mark.parametrize(
        ("body", "identity", "headers"),
        [
            (f"https://other.test/help\n{TOKEN}\n", HOME, None),
            (f"https://other.test/?token={TOKEN}\n", IDENTITY, None),
            (f"https://other.test/?rev={REVISION}\n", HOME, {TYPE_HEADER: "cs_comment"}),
        ],
        ids=["no token in it", "no base URL", "a comment"],
    )
    def test_is_the_only_one_that_is_changed(self, body, identity, headers):
        assert self.read(body, identity=identity, headers=headers).mail.text == body

    def test_is_found_in_time_linear_in_the_text(self):
        body = "http://" * 20_000 + f"?token={TOKEN}"

        assert self.read(body).mail.secrets == (TOKEN,)
