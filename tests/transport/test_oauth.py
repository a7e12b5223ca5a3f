"""Signing in by token: what is asked for, how often, and what every refusal becomes."""

import base64
import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from envoi.core.delivery import Stage
from envoi.settings import Secret
from envoi.transport.advice import TroubleError
from envoi.transport.oauth import MAX_ANSWER_BYTES, Grant, Tokens
from envoi.transport.options import RelayOptions
from envoi.transport.reply import Answer, Scrubber
from envoi.transport.smtp import Door
from tests.transport.token_servers import USER, TokenRelay, TokenService, slowly

CLIENT_SECRET = "client-secret-4711"
REFRESH_TOKEN = "refresh-token-0815"


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    """What is kept, by seed, as the outbox keeps it."""

    rows: dict[str, str] = field(default_factory=dict)

    def kept(self, seed: str) -> str:
        return self.rows.get(seed, "")

    def keep(self, seed: str, refresh_token: str) -> None:
        self.rows[seed] = refresh_token


@pytest.fixture
def service():
    made = TokenService(refresh_token=REFRESH_TOKEN)
    yield made
    made.close()


@pytest.fixture
def make_relay(service):
    made = []

    def make(**traits) -> TokenRelay:
        made.append(TokenRelay(service, **traits))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


def grant(service, **changes) -> Grant:
    said = {"url": service.url, "client_id": "envoi", "client_secret": Secret(CLIENT_SECRET)}
    return Grant(**{**said, "timeout_s": 5, **changes})


def by_refresh_token(service) -> Grant:
    return grant(service, refresh_token=Secret(REFRESH_TOKEN), client_secret=Secret())


def door(relay, tokens, auth=()) -> Door:
    options = RelayOptions(
        host="localhost", port=relay.port, username=USER, tokens=tokens, tls="none",
        command_timeout_s=5, auth=auth,
    )  # fmt: skip
    return Door(options)


def refused(call):
    with pytest.raises(TroubleError) as caught:
        call()
    return caught.value.trouble


class TestAsking:
    def test_a_client_without_a_refresh_token_shows_its_own_credentials(self, service):
        Tokens(grant(service, scope="mail.send")).take()

        assert service.asked == [
            {
                "grant_type": "client_credentials",
                "client_id": "envoi",
                "client_secret": CLIENT_SECRET,
                "scope": "mail.send",
            }
        ]

    def test_with_a_refresh_token_that_is_shown(self, service):
        Tokens(by_refresh_token(service)).take()

        assert service.asked == [
            {
                "grant_type": "refresh_token",
                "client_id": "envoi",
                "refresh_token": REFRESH_TOKEN,
            }
        ]

    def test_a_token_serves_until_shortly_before_its_end(self, service):
        clock = Clock()
        tokens = Tokens(grant(service), clock=clock)
        first = tokens.take()
        clock.now += 3600 - 301
        again = tokens.take()
        clock.now += 2
        renewed = tokens.take()

        assert (first, len(service.asked)) == (again, 2)
        assert renewed != first

    @pytest.mark.parametrize("lives_s", ["3600", None, "soon", [], 10**400, True])
    def test_a_strange_lifetime_is_read_as_far_as_it_goes(self, service, lives_s):
        service.lives_s = lives_s

        assert Tokens(grant(service)).take() in service.good

    def test_all_connections_wait_for_one_answer(self, service):
        tokens = Tokens(grant(service))

        with ThreadPoolExecutor(16) as pool:
            found = set(pool.map(lambda _: tokens.take(), range(64)))

        assert (len(found), len(service.asked)) == (1, 1)

    def test_an_exchanged_refresh_token_is_kept_and_used(self, service):
        service.rotates = True
        store = Store()
        tokens = Tokens(by_refresh_token(service), store)
        tokens.refused(tokens.take())
        tokens.take()
        after_restart = Tokens(by_refresh_token(service), store)

        assert after_restart.take() in service.good
        assert list(store.rows.values()) == [service.newest_refresh_token]
        assert REFRESH_TOKEN not in str(store.rows)

    def test_another_refresh_token_in_the_settings_begins_anew(self, service):
        store = Store()
        Tokens(by_refresh_token(service), store)
        store.keep("of another token", "stale")

        Tokens(by_refresh_token(service), store).take()

        assert [form["refresh_token"] for form in service.asked] == [REFRESH_TOKEN]

    def test_what_a_restored_backup_holds_gives_way_to_the_settings(self, service):
        service.rotates = True
        store = Store()
        Tokens(by_refresh_token(service), store).take()
        [seed] = store.rows
        store.rows[seed] = "from-an-old-backup"
        service._refresh_token = REFRESH_TOKEN

        assert Tokens(by_refresh_token(service), store).take() in service.good

    def test_another_machine_may_have_exchanged_it_meanwhile(self, service):
        service.rotates = True
        store = Store()
        here, there = (Tokens(by_refresh_token(service), store) for _ in range(2))
        here.refused(here.take())
        there.take()

        assert here.take() in service.good

    def test_another_machine_may_exchange_it_while_this_one_asks(self, service):
        """Both have looked before either asks; the slower one must not need a person for it."""
        service.rotates = True
        store = Store()
        there = Tokens(by_refresh_token(service), store)

        class Slow(Store):
            def kept(self, seed: str) -> str:
                found = store.kept(seed)
                if not service.asked:
                    there.take()
                return found

        here = Tokens(by_refresh_token(service), Slow())

        assert here.take() in service.good
        assert len(service.asked) == 3


class TestRefusedByTheEndpoint:
    @pytest.mark.parametrize(
        ("status", "body", "needs_operator"),
        [
            (400, b'{"error": "invalid_grant"}', True),
            (401, b'{"error": "invalid_client"}', True),
            (400, b'{"error": "invalid_scope"}', True),
            (403, b"no", True),
            (404, b"<html>", True),
            (302, b"", True),
            (400, b'{"error": "temporarily_unavailable"}', False),
            (429, b"{}", False),
            (500, b"oops", False),
            (503, b'{"error": "invalid_grant"}', False),
            (200, b"", False),
            (200, b"{}", False),
            (200, b"[" * 100_000, False),
            (200, b"\xff\xfe", False),
            (200, b'["access_token"]', False),
            (200, b'{"access_token": 4711.5e3}', False),
            (200, b'{"access_token": "a\\u0001b"}', False),
            (200, b'{"access_token": "' + b"a" * MAX_ANSWER_BYTES + b'"}', False),
        ],
        ids=str,
    )
    def test_a_no_is_an_operators_and_everything_else_passes(
        self, service, status, body, needs_operator
    ):
        service.answer = lambda _form: (status, body)
        tokens = Tokens(grant(service))
        trouble = refused(tokens.take)

        assert (trouble.stage, trouble.needs_operator) == (Stage.AUTH, needs_operator)
        assert len(trouble.because) < 600

    def test_what_it_says_is_told_without_our_secrets(self, service):
        words = {"error": "invalid_client", "error_description": f"not {CLIENT_SECRET}\r\nx"}
        service.answer = lambda _form: (401, json.dumps(words).encode())

        trouble = refused(Tokens(grant(service)).take)

        assert trouble.because == "no token: localhost answered 401 invalid_client: not ***\\r\\nx"
        assert "smtp.oauth_client_secret" in trouble.advice

    def test_a_slow_answer_is_not_waited_for(self, service):
        service.answer = slowly(b"{}", 3)

        trouble = refused(Tokens(grant(service, timeout_s=0.3)).take)

        assert "no token from localhost: " in trouble.because
        assert not trouble.needs_operator

    def test_an_answer_that_dribbles_is_cut(self):
        """Each byte comes in time, the whole never does (slowloris)."""
        over = threading.Event()

        def dribble(ear):
            sock, _ = ear.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.05):
                    sock.sendall(b"x")

        with socket.create_server(("127.0.0.1", 0)) as ear:
            thread = threading.Thread(target=dribble, args=[ear])
            thread.start()
            url = f"http://localhost:{ear.getsockname()[1]}/"
            trouble = refused(Tokens(Grant(url=url, client_id="c", timeout_s=0.5)).take)
            over.set()
            thread.join()

        assert trouble.because == "no token from localhost: no whole answer within 0.5 s"

    def test_nobody_there_passes(self):
        with socket.create_server(("127.0.0.1", 0)) as ear:
            url = f"http://localhost:{ear.getsockname()[1]}/"

        trouble = refused(Tokens(Grant(url=url, client_id="c")).take)

        assert "refused" in trouble.because
        assert not trouble.needs_operator

    def test_after_trouble_it_is_asked_again(self, service):
        tokens = Tokens(grant(service))
        service.answer = lambda _form: (503, b"")
        refused(tokens.take)
        service.answer = None

        assert tokens.take() in service.good


class TestCertificate:
    @pytest.fixture
    def secure(self, certificates):
        made = TokenService(certificates.contexts["good"])
        yield made
        made.close()

    def test_a_sites_own_authority_is_trusted_when_it_is_named(self, secure, certificates):
        tokens = Tokens(grant(secure, ca_file=certificates.ca_file))

        assert tokens.take() in secure.good

    def test_a_strange_certificate_gets_no_secret(self, secure):
        trouble = refused(Tokens(grant(secure)).take)

        assert "certificate of localhost is not accepted" in trouble.because
        assert trouble.needs_operator
        assert secure.asked == []


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
class TestSigningIn:
    def test_one_signs_in_by_what_the_relay_offers(self, service, make_relay, mechanism):
        relay = make_relay(mechanisms=(mechanism,))
        door(relay, Tokens(grant(service))).open().sock.close()

        assert len(relay.tried) == 1

    @pytest.mark.parametrize("challenges", [True, False])
    def test_a_token_that_has_ended_is_renewed_at_once(
        self, service, make_relay, mechanism, challenges
    ):
        relay = make_relay(mechanisms=(mechanism,), challenges=challenges)
        tokens = Tokens(grant(service))
        door(relay, tokens).open().sock.close()
        service.good.clear()
        door(relay, tokens).open().sock.close()

        assert (len(relay.tried), len(set(relay.tried))) == (3, 2)
        assert len(service.asked) == 2

    def test_a_token_that_never_worked_is_tried_once(self, service, make_relay, mechanism):
        """No account is locked: each attempt of the worker shows one token, a minute apart."""
        relay = make_relay(mechanisms=(mechanism,))
        relay.refusal = "535 5.7.3 Authentication unsuccessful"
        tokens = Tokens(grant(service))

        troubles = [refused(door(relay, tokens).open) for _ in range(3)]

        assert len(relay.tried) == 3
        assert all(trouble.needs_operator for trouble in troubles)
        assert "535 5.7.3 Authentication unsuccessful" in troubles[0].because
        assert "smtp.oauth_scope" in troubles[0].advice

    def test_after_a_renewal_in_vain_nothing_more_is_tried(self, service, make_relay, mechanism):
        relay = make_relay(mechanisms=(mechanism,))
        tokens = Tokens(grant(service))
        door(relay, tokens).open().sock.close()
        relay.refusal = "535 5.7.8 taken back"
        trouble = refused(door(relay, tokens).open)

        assert trouble.needs_operator
        assert len(relay.tried) == 3  # that which worked, that which did no more, its heir

    def test_not_now_says_nothing_about_the_token(self, service, make_relay, mechanism):
        relay = make_relay(mechanisms=(mechanism,))
        relay.refusal = "454 4.7.0 later"
        tokens = Tokens(grant(service))

        troubles = [refused(door(relay, tokens).open) for _ in range(2)]

        assert not any(trouble.needs_operator for trouble in troubles)
        assert len(service.asked) == 1

    def test_no_echo_of_a_token_gets_through(self, service, make_relay, mechanism):
        """The relay says token and sign-in back to us, whole and in part."""
        relay = make_relay(mechanisms=(mechanism,))
        tokens = Tokens(grant(service))
        tokens.take()
        service.good.clear()

        trouble = refused(door(relay, tokens).open)

        assert trouble.because.count("***") == 3
        assert "secret-token" not in trouble.because
        assert base64.b64encode(b"secret-token")[:12].decode() not in trouble.because


@pytest.mark.parametrize("first", ["XOAUTH2", "OAUTHBEARER"])
def test_of_several_mechanisms_the_first_of_the_settings_is_used(service, make_relay, first):
    relay = make_relay(mechanisms=(first,))
    both = sorted(("XOAUTH2", "OAUTHBEARER"), key=lambda name: name != first)
    asked = door(relay, Tokens(grant(service)), auth=("PLAIN", *both))

    # The relay does not know the other one, and would answer it with 504.
    asked.open().sock.close()

    assert len(relay.tried) == 1


def test_a_relay_that_takes_no_tokens_is_told_of(service, make_relay):
    relay = make_relay(mechanisms=("PLAIN", "LOGIN"))

    trouble = refused(door(relay, Tokens(grant(service))).open)

    assert "LOGIN" in trouble.because
    assert "none of XOAUTH2, OAUTHBEARER" in trouble.because
    assert relay.tried == []


def test_without_an_endpoint_the_relay_is_told_nothing(service, make_relay):
    relay = make_relay()
    service.answer = lambda _form: (503, b"")

    trouble = refused(door(relay, Tokens(grant(service))).open)

    assert trouble.stage is Stage.AUTH
    assert relay.tried == []


def test_no_secret_shows_in_what_is_printed(service):
    tokens = Tokens(by_refresh_token(service))
    token = tokens.take()
    options = RelayOptions(host="h", port=1, username=USER, tokens=tokens)

    shown = f"{tokens!r} {options!r} {by_refresh_token(service)!r} {tokens._token!r}"

    assert token not in shown
    assert REFRESH_TOKEN not in shown


def test_a_scrubber_remembers_the_latest_secrets():
    scrubber = Scrubber("pa55word")
    for number in range(100):
        scrubber.learn(f"token-number-{number:03d}-abcdefgh")

    said = scrubber.text(Answer(535, (b"pa55word token-number-099-abcdefgh number-099-abcde",)))

    assert said == "*** *** ***"
    assert len(scrubber._forms) < 50
