"""RELIABILITY A to C at the doors of ready-made mail: typed for us, so refused or exact."""

import base64
import json
from dataclasses import replace

import pytest

from envoi import forms
from envoi.core.kind import clean_line
from envoi.core.message import Attachment
from envoi.core.people import Mailbox
from envoi.core.ready import ReadyMail
from envoi.errors import EnvoiError, InputError
from tests.hostile.catalogue import (
    BLANK,
    FILE_NAMES,
    HEADER_NAMES,
    LISTS,
    MEDIA_TYPES,
    NORMALISED,
    NOT_ADDRESSES,
    TEXTS,
)
from tests.hostile.house import HEADERS, OURS, House, Read, people, read

UNUSABLE = {**NOT_ADDRESSES, **LISTS}
NEITHER = {**UNUSABLE, **BLANK}
GOOD = {"subject": "Hello", "text": "Words\n"}
# Header fields of the form that name people.
MANY, ONE = ("to", "cc", "bcc"), ("from", "reply_to")


def send(house: House, **form: object) -> None:
    """Send as every door that is not Python does."""
    assert house.mailer.send(forms.read_mail(json.loads(json.dumps(form))), strict=True).is_kept


def sent(house: House, **form: object) -> Read:
    address = house.address()
    send(house, **{"to": address, **GOOD, **form})
    house.expected.append(address)
    return read(house.deliver()[address])


def refused(house: House, **form: object) -> str:
    """Send what must be refused; return the refusal: one line per problem, nothing stored."""
    before = house.rows()
    with pytest.raises(InputError) as caught:
        send(house, **{"to": house.address(), **GOOD, **form})
    assert house.rows() == before
    str(caught.value).encode()
    return str(caught.value)


class TestAddresses:
    @pytest.mark.parametrize("field", [*MANY, *ONE])
    @pytest.mark.parametrize("case", list(NEITHER))
    def test_a_bad_one_is_refused_beside_good_ones(self, house, case, field):
        text = NEITHER[case]
        if field in ONE and (not text or case == "A22 local"):
            return  # nothing is the application's own; a configured sender may be local
        value = ["good@ok.test", text] if field in MANY else text

        assert refused(house, **{field: value}).startswith(f"{field}: expected")

    @pytest.mark.parametrize("value", [5, None, {}, [], True, ["a@ok.test", "b@ok.test"]])
    def test_anything_else_than_a_text_is_refused(self, house, value):
        assert refused(house, to=[value]).startswith("to: expected")
        if value is not None:
            assert refused(house, reply_to=value).startswith("reply_to: expected")

    @pytest.mark.parametrize("case", NORMALISED)
    def test_a_good_one_gets_exactly_one_mail(self, house, case):
        unique = house.address().partition("@")[0]
        typed, kept = (f"{unique}{address}" for address in NORMALISED[case])

        send(house, to=[typed, kept, f"Again <{typed}>"], **GOOD)
        house.expected.append(kept)

        assert read(house.deliver()[kept]).kept.mail_from == OURS

    def test_bcc_stands_in_no_header(self, house):
        one, two, three = (house.address() for _ in range(3))
        send(house, to=one, cc=f"Two <{two}>", bcc=[three, three], **GOOD)
        house.expected += [one, two, three]

        arrived = house.deliver()
        mails = [read(arrived[address]) for address in (one, two)]
        hidden = arrived[three]

        assert all(three.encode() not in mail.kept.content for mail in mails)
        assert three.encode() not in hidden.content
        assert [str(box.addr_spec) for box in people(mails[0].message, "Cc")] == [two]

    def test_too_many_recipients_are_refused_with_the_limit(self, house):
        assert "1000" in refused(house, to=[f"u{n}@ok.test" for n in range(1_001)])


class TestWords:
    @pytest.mark.parametrize("case", TEXTS)
    def test_a_subject_is_refused_or_exact(self, house, case):
        text = TEXTS[case]
        if text.is_refused or not text.value.strip() or len(text.value) > 255:
            assert refused(house, subject=text.value).startswith("subject: expected")
            return

        mail = sent(house, subject=text.value)

        assert mail.message["Subject"] == text.value.strip()
        assert mail.own_headers == list(HEADERS)

    @pytest.mark.parametrize("case", TEXTS)
    def test_a_text_arrives_cleaned_and_in_one_mail(self, house, case):
        text = TEXTS[case].value
        if not TEXTS[case].as_text.strip():
            assert refused(house, text=text).startswith("text: expected")
            return

        mail = sent(house, text=text, html=f"<p>{text}</p>")

        # A text of a ready-made mail is whole, whatever its length.
        shown = text if case == "C4" else TEXTS[case].as_text
        assert mail.text == shown + ("" if shown.endswith("\n") else "\n")
        assert mail.part("html") == f"<p>{shown}</p>\n"

    @pytest.mark.parametrize("case", TEXTS)
    def test_html_alone_brings_its_text(self, house, case):
        mail = sent(house, text="", html=f"<p>Hello</p>{TEXTS[case].value[:2_000]}")

        assert mail.text.startswith("Hello")

    @pytest.mark.parametrize(
        "html", ["<![x]>", "<script>x</script>", "&#0;", "<!--", "<p>&#27;&#13;</p>", " \x00"]
    )
    def test_a_mail_without_words_is_refused(self, house, html):
        if html == "&#0;":
            assert sent(house, text="", html=html).text == "\ufffd\n"
            return
        assert refused(house, text="\x00\x1b", html=html).startswith("text: expected")

    def test_references_to_controls_leave_no_controls(self, house):
        mail = sent(house, text=" ", html="a&#13;b&#27;c&#12;d&#8232;e&#x85;f")

        assert mail.text == "a bc\nd\ne\u2026f\n"

    def test_too_much_is_refused_with_the_limit(self, house):
        limit = str(25 * 1024 * 1024)
        thirty = "z" * 30_000_000

        assert limit in refused(house, text=thirty)
        assert limit in refused(house, headers={"X-Long": thirty})

    @pytest.mark.parametrize("html", ["<a ", "<!--", "<a href='", "</", "<![", "&#"])
    def test_html_that_never_ends_costs_no_time(self, house, html):
        # The library's reader takes minutes for a tenth of this; pytest's patience is two.
        assert sent(house, text="", html="Hello" + html * 20_000).text.startswith("Hello")


class TestHeaders:
    @pytest.mark.parametrize("case", HEADER_NAMES)
    def test_a_name_that_is_none_or_ours_is_refused(self, house, case):
        assert "header" in refused(house, headers={HEADER_NAMES[case]: "x"})

    @pytest.mark.parametrize("case", TEXTS)
    @pytest.mark.parametrize("name", ["X-Case", "List-Unsubscribe"])
    def test_a_value_is_refused_or_exact(self, house, case, name):
        text = TEXTS[case]
        if text.is_refused:
            assert refused(house, headers={name: text.value}).startswith(f"headers.'{name}'")
            return
        value = text.value[:2_000]

        mail = sent(house, headers={name: value})

        assert mail.own_headers == [*HEADERS[:8], name, *HEADERS[8:]]
        assert mail.message[name].strip() == value.strip()

    def test_b10_a_list_header_that_breaks_out_is_refused(self, house):
        refused(house, headers={"List-Unsubscribe": "<https://x/>\r\nBcc: v@x.test"})

    @pytest.mark.parametrize("value", [None, 5, [], {}, True])
    def test_a_value_that_is_no_text_is_refused(self, house, value):
        refused(house, headers={"X-Case": value})


class TestNames:
    @pytest.mark.parametrize("case", TEXTS)
    @pytest.mark.parametrize("is_python", [False, True], ids=["json", "python"])
    def test_a_name_is_cleaned_cut_and_quoted(self, house, case, is_python):
        name = TEXTS[case].value[:2_000]
        to, cc = house.address(), house.address()
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        held = {"to": to, "cc": cc, "from": "us@example.test", "reply_to": "re@example.test"}
        form = {field: f'"{quoted}" <{address}>' for field, address in held.items()}
        mail = forms.read_mail({**json.loads(json.dumps(form)), **GOOD})
        if is_python:
            mail = _renamed(mail, name)

        assert house.mailer.send(mail).is_kept
        house.expected += [to, cc]
        got = read(house.deliver()[to])

        shown = "".join(clean_line(name)[:100].split())
        for header, address in (
            ("From", "us@example.test"), ("Reply-To", "re@example.test"), ("To", to), ("Cc", cc),
        ):  # fmt: skip
            [box] = people(got.message, header)
            assert str(box.addr_spec) == address
            assert "".join(box.display_name.split()) == shown
        assert got.kept.mail_from == "us@example.test"


def _renamed(mail: ReadyMail, name: str) -> ReadyMail:
    def named(box: Mailbox) -> Mailbox:
        return Mailbox(box.address, name)

    assert mail.sender
    assert mail.reply_to
    return replace(
        mail,
        to=tuple(map(named, mail.to)),
        cc=tuple(map(named, mail.cc)),
        sender=named(mail.sender),
        reply_to=named(mail.reply_to),
    )


class TestAttachments:
    @pytest.mark.parametrize("case", FILE_NAMES)
    def test_a_name_is_cleaned_and_the_content_exact(self, house, case):
        name, shown = FILE_NAMES[case]
        content = bytes(range(256)) + b"\r\n.\r\n\n.\n\0From x"

        mail = sent(house, attachments=[_file(name, content)])

        [part] = mail.message.iter_attachments()
        assert part.get_filename() == shown
        assert part.get_content_disposition() == "attachment"
        assert part.get_payload(decode=True) == content
        assert set(part.keys()) == {
            "Content-Type", "Content-Disposition", "Content-Transfer-Encoding"
        }  # fmt: skip

    @pytest.mark.parametrize("case", MEDIA_TYPES)
    def test_a_type_that_is_none_is_refused(self, house, case):
        file = {**_file("a.txt", b"x"), "media_type": MEDIA_TYPES[case]}

        assert "media type" in refused(house, attachments=[file])

    @pytest.mark.parametrize("content", ["\u00e9", "a", "=", "\ud800", "a\0", 5, None, ["x"]])
    def test_content_that_is_not_base64_is_refused(self, house, content):
        assert refused(house, attachments=[{"name": "x", "content": content}])

    @pytest.mark.parametrize("file", ["/etc/passwd", None, {"path": "../../secret"}, ["x"], 7])
    def test_a_path_is_no_attachment(self, house, file):
        assert refused(house, attachments=[file]).startswith("attachments.0")

    def test_c4_thirty_megabytes_are_refused_with_the_limit(self, house):
        assert "26214400" in refused(house, attachments=[_file("a", bytes(30_000_000))])

    @pytest.mark.parametrize("name", ["message/rfc822", "multipart/mixed"])
    def test_a_type_that_base64_may_not_carry_goes_as_octets(self, house, name):
        mail = sent(
            house, attachments=[{**_file("a.eml", b"From: x\n\n\n.\n"), "media_type": name}]
        )

        [part] = mail.message.iter_attachments()
        assert part.get_content_type() == "application/octet-stream"


def _file(name: str, content: bytes) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(content).decode()}


class TestOtherFields:
    @pytest.mark.parametrize("case", TEXTS)
    def test_a_key_is_refused_or_exact(self, house, case):
        text = TEXTS[case]
        if text.is_refused or len(text.value) > 256:
            assert refused(house, key=text.value).startswith("key: expected")
            return

        sent(house, key=f"{text.value[:200]}")

    @pytest.mark.parametrize("case", [case for case in TEXTS if case != "C13"])
    @pytest.mark.parametrize("field", ["application", "class", "FIELD"])
    def test_a_name_that_must_be_known_is_refused_on_one_line(self, house, case, field):
        value = TEXTS[case].value[:1_000]

        words = refused(house, **({value: "x"} if field == "FIELD" else {field: value}))

        assert len(words.splitlines()) == 1

    # A number may be a time; what is none is in tests/test_forms.py.
    @pytest.mark.parametrize(
        "field", sorted({*forms.MAIL_FIELDS} - {"lifetime_s", "occurred_at_ms"})
    )
    @pytest.mark.parametrize("value", [5, 1.5, True, [1], {"a": 1}, [None], {"": []}])
    def test_a_value_of_another_type_is_refused(self, house, field, value):
        refused(house, **{field: value})

    @pytest.mark.parametrize("form", [None, 5, "x", [], [{}], True])
    def test_what_is_no_object_is_refused(self, form):
        for reader in (forms.read_mail, forms.read_event):
            with pytest.raises(InputError):
                reader(form)


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "half \ud800", "../x", "\0", ""])
def test_python_attachments_are_cleaned_too(house, name):
    address = house.address()
    file = Attachment(name=name, media_type="text/plain", content=b"x")
    mail = replace(forms.read_mail({"to": address, **GOOD}), attachments=(file,))

    assert house.mailer.send(mail).is_kept
    house.expected.append(address)

    [part] = read(house.deliver()[address]).message.iter_attachments()
    assert len(part.keys()) == 3


def test_a_refusal_is_always_one_of_ours(house):
    strange: list[object] = [float("nan"), 10**5000, [[[[]]]], {"a": {"b": {}}}, "\ud800"]
    for value in strange:
        for field in ("to", "headers", "attachments", "class", "subject", "x"):
            with pytest.raises(EnvoiError):
                house.mailer.send(forms.read_mail({"to": "a@b.test", **GOOD, field: value}))
