"""The addresses of RELIABILITY A that no one-address field may take, by their number."""

NOT_ADDRESSES = {
    "A1": "=?x?q?a=40evil.test=3e=00?=foo@example.com",
    "A2": "=?utf-8?q?victim=40evil.com?=",
    "A3": '"foo@psres.net> ORCPT=admin@admin.com"@test.com',
    "A4": '"xclow3n@gmail.com x"@internal.domain',
    "A5": "user@good-corp.com(x)evil.com",
    "A6": "alice@example.org)bob@example.org",
    "A6 angle": "alice@example.org(<bob@example.org>",
    "A7": "a@x.test>\r\nRCPT TO:<evil@evil.test",
    "A8": "a@b.test\r\nBcc: c@d.test",
    "A8 newline": "a@b.test\n",
    "A9": "a@b.test> NOTIFY=NEVER",
    "A10": "a\x00@x.test",
    "A11": "x" * 65 + "@x.test",
    "A11 long": "x" * 3000 + "@x.test",
    "A11 whole": "x" * 60 + "@" + "y" * 60 + "." + ("z" * 60 + ".") * 3 + "test",
    "A12": "Doe, John <john@b.test>",
    "A21": "a\u200b@x.test",
    "A21 bidi": "a@ex\u202eample.com",
    "A22": "root",
    "A22 local": "a@localhost",
    "A22 literal": "a@[127.0.0.1]",
    "A22 literal 6": "a@[IPv6:::1]",
    "A23 at": "@",
    "A23 to": "to@",
    "A23 host": "@example.com",
    "A23 twice": "to@other.com@example.com",
    "A24": "<>",
    "A25": "a..b@x.test",
    "A25 first": ".a@x.test",
    "A25 last": "a.@x.test",
    "A26": "undisclosed-recipients:;",
    "A26 group": "g: a@b.test, c@d.test;",
    "A29": ";sleep 66;@x",
    "A29 exim": "${run{id}}@x.test",
    "surrogate": "a\ud800@x.test",
}
# Two addresses where one is meant: a typed field refuses them, a cell of an import splits them.
LISTS = {"A13": "a@b.test;c@d.test", "A14": "victim@x.test,evil@y.test"}
BLANK = {"A23 empty": "", "A23 blank": "  "}
# Good addresses that are stored in their normal form.
NORMALISED = {
    "A16": ("m\u0131ke@example.org", "m\u0131ke@example.org"),
    "A17": ("\u212a@example.com", "K@example.com"),
    "A17 host": ("a@\u212a.com", "a@k.com"),
    "A18": ("admin@g\u043e\u043egle.com", "admin@xn--ggle-55da.com"),
    "A19": ("a@example\u3002com", "a@example.com"),
    "A20": ("\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a", "\u7528\u6237@xn--fsqu00a.xn--4rr70v"),
    "A28": ("A@X.TEST", "A@x.test"),
}
