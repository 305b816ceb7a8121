"""A history in which everything happens that reports ask about, told through the domain."""

from datetime import timedelta
from uuid import UUID

from domain.access_token import AccessToken
from domain.audit_export import AuditExport
from domain.audit_reading import AuditReading, Reading
from domain.authorization_code import AuthorizationCode, CodeTerms
from domain.client import Client
from domain.client_configuration import (
    DEVICE_CODE,
    JWT_BEARER,
    TOKEN_EXCHANGE,
    Audiences,
    Authentication,
    ClientType,
    Delegation,
    Redirects,
    TokenPolicy,
)
from domain.client_usage import ClientUsage
from domain.confirmation import Confirmation
from domain.consents import Consents
from domain.denial_log import Denial, DenialLog
from domain.descent import Vouched
from domain.device_authorization import Approval, DeviceAuthorization
from domain.forgery_log import NOT_RECORDED, Forgery, ForgeryLog, Presentation
from domain.initial_access import InitialAccess, KeptVerifier
from domain.issuance import Narrowing, SigningChoice
from domain.principal import Principal
from domain.provenance import Origin
from domain.refresh_token_family import IssuedToken
from domain.session import Authorized, Session
from domain.signing_key import SigningKey
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from tests.builders import CATALOGUE, PUBLIC_JWK, stream_id
from tests.projections.reports.story import Story

ORIGIN = Origin(address="address-hash", user_agent="agent-hash")
CALLBACK = Redirects(redirect_uris=("https://client.example/callback",))
DAY = 24 * 60
DPOP_KEY = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")


class RichHistory:
    """Tells it, and knows the names that reports are asked about."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.positions: list[int] = []
        self.leaf = self.root = UUID(int=0)
        self.family_id = ""
        for chapter in (
            self._keys_and_people,
            self._clients,
            self._machines,
            self._people,
            self._reuse,
            self._delegation,
            self._refusals,
            self._administration,
            self._endings,
        ):
            chapter()
            self.positions.append(story.position)

    def _keys_and_people(self) -> None:
        story = self.story
        self.keys = [
            SigningKey.generate(
                kid=kid,
                algorithm=algorithm,
                public_jwk=PUBLIC_JWK,
                provenance=story.act(by="system"),
            )
            for kid, algorithm in (("key-1", "ES256"), ("key-2", "EdDSA"))
        ]
        self.keys[0].activate(story.act(by="system"))
        story.record(*self.keys)
        self.alice = story.principal("alice")
        self.bob = story.principal("bob", "admin", "user")
        self.owner = story.principal("owner-1", "user")
        terms = IssuerTerms(issuer="https://id.example", scopes=("user", "mcp"))
        self.issuer = TrustedIssuer.add(terms, catalogue=CATALOGUE, provenance=story.act())
        story.record(self.issuer)

    def _clients(self) -> None:
        story = self.story
        self.reporter = story.client("reporter", owner="owner-1")
        self.capital = story.client(
            "Reporter"
        )  # names that differ in case alone sort alike in both
        self.web = story.client(
            "web",
            grant_types=("authorization_code", "refresh_token", DEVICE_CODE),
            redirects=CALLBACK,
            scopes=("user", "mcp", "openid", "admin"),
            authorization_details_types=("payment",),
        )
        self.app = story.client(
            "app",
            client_type=ClientType.PUBLIC,
            grant_types=("authorization_code", "refresh_token"),
            redirects=CALLBACK,
            scopes=("user",),
        )
        self.agents = [
            story.client(
                f"agent-{number}",
                grant_types=(TOKEN_EXCHANGE, JWT_BEARER),
                scopes=("user", "mcp"),
                delegation=Delegation(impersonation=number == 3),
            )
            for number in (1, 2, 3)
        ]
        self.dormant = story.client(
            "dormant", authentication=Authentication(method="client_secret_post")
        )
        for client in (self.reporter, self.web, self.dormant):
            client.add_secret(
                secret_id=f"{client.client_id}-secret-1",
                pepper_id="pepper-1",
                verifier="0" * 64,
                provenance=story.act(why="set up"),
            )
            story.record(client)

    def _machines(self) -> None:
        story = self.story
        for number in range(12):
            story.machine_token(
                self.reporter,
                owner=self.owner,
                scope=("mcp",) if number % 3 else None,
                credential_id="reporter-secret-1",
            )
            story.act(minutes=DAY / 2)
        story.machine_token(self.capital, audience=("hook",), confirmation=DPOP_KEY)
        usage = ClientUsage.start(
            stream_id(),
            client_id="reporter",
            process="p-1",
            day=story.now.date().isoformat(),
            provenance=story.act(),
        )
        usage.used(
            last_at=story.now, by_endpoint={"token": 12, "introspect": 3}, provenance=story.act()
        )
        story.record(usage)

    def _session(self, subject: str) -> Session:
        session = Session.start(
            stream_id(),
            subject=subject,
            methods=("pwd",),
            lifetime=timedelta(hours=12),
            origin=ORIGIN,
            provenance=self.story.act(),
        )
        self.story.record(session)
        return session

    def _people(self) -> None:
        story = self.story
        consents = Consents.open("alice", provenance=story.act())
        self.session = self._session("alice")
        consents.give(
            "web", ("user", "mcp"), session_id=self.session.session_id, provenance=story.act()
        )
        story.record(consents)
        self.family, self.first = story.family(self.web, self.alice)
        code = self._code(self.web, self.alice, self.session)
        self.family_id = self.family.family_id
        code.redeem(
            jti=str(self.first.id), family_id=self.family_id, provenance=story.act(minutes=0.5)
        )
        self.session.authorize(
            Authorized("web", self.family_id, str(self.first.id), self.first.issued.expires_at),
            story.act(),
        )
        story.record(code, self.session)
        token = self._refreshed()
        self.family.retry(
            token=IssuedToken(str(token.id), token.issued.expires_at), provenance=story.act()
        )
        self.family.use(
            token=IssuedToken(str(token.id), token.issued.expires_at), provenance=story.act()
        )
        story.record(self.family)
        details = ({"type": "payment", "amount": {"value": 12.5}},)
        story.person_token(self.web, self.bob, ("user", "openid"), details=details)
        self._devices()

    def _refreshed(self) -> AccessToken:
        story = self.story
        token = story.person_token(
            self.web, self.alice, grant_type="refresh_token", family=self.family
        )
        issued = IssuedToken(str(token.id), token.issued.expires_at)
        self.family.rotate(pepper_id="pepper-1", token=issued, provenance=story.act(minutes=0))
        story.record(self.family)
        return token

    def _code(self, client: Client, person: Principal, session: Session) -> AuthorizationCode:
        terms = CodeTerms(
            client_id=client.client_id,
            subject=person.subject,
            session_id=session.session_id,
            redirect_uri="https://client.example/callback",
            challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            requested_scope=("user", "admin"),
            scope=Narrowing(("user",), (), ("admin",)),
            resource=(),
            nonce=None,
            authenticated_at=self.story.now,
            methods=("pwd",),
        )
        code = AuthorizationCode.issue(stream_id(), terms, provenance=self.story.act())
        self.story.record(code)
        return code

    def _devices(self) -> None:
        story = self.story
        for approved in (True, False):
            device = DeviceAuthorization.request(
                stream_id(),
                client_id="web",
                scope=("user",),
                resource=(),
                lifetime=timedelta(minutes=10),
                origin=ORIGIN,
                provenance=story.act(),
            )
            if not approved:
                device.deny(
                    subject="alice", session_id=self.session.session_id, provenance=story.act()
                )
                story.record(device)
                continue
            scope = Narrowing(("user",), (), ())
            approval = Approval("alice", self.session.session_id, scope, story.now, ("pwd",))
            device.approve(approval, story.act())
            token = story.person_token(self.web, self.alice, grant_type=DEVICE_CODE)
            device.redeem(
                session_id=self.session.session_id,
                jti=str(token.id),
                family_id=None,
                provenance=story.act(),
            )
            story.record(device)

    def _reuse(self) -> None:
        story = self.story
        family, token = story.family(self.app, self.bob)
        family.rotate(
            pepper_id="pepper-1",
            token=IssuedToken(str(token.id), token.issued.expires_at),
            provenance=story.act(),
        )
        story.record(family)
        family.detect_reuse(1, origin=ORIGIN, provenance=story.act())
        token.revoke(by="system", reason="reuse", provenance=story.act(minutes=0), descendants=True)
        story.record(family, token)
        code = self._code(self.app, self.bob, self._session("bob"))
        code.redeem(jti=str(token.id), family_id=None, provenance=story.act(minutes=0.5))
        code.replay(address="address-hash", provenance=story.act())
        story.record(code)

    def _delegation(self) -> None:
        story, (one, two, three) = self.story, self.agents
        token = story.person_token(self.web, self.alice, ("user", "mcp"))
        self.root = token.id
        for agent in (one, two, three):
            token = story.exchanged(agent, token, person=self.alice)
        self.leaf = token.id
        story.exchanged_foreign(one, self.bob, Vouched("https://id.example", "jti-0", 1))
        machine = story.machine_token(self.capital, scope=("mcp",))
        child = story.exchanged(two, machine)
        story.exchanged(one, child)
        story.revoked(child, descendants=True)

    def _refusals(self) -> None:
        story = self.story
        log = DenialLog.start(
            stream_id(), process="p-1", hour="2026-03-10T12", provenance=story.act()
        )
        for number, (client_id, reason) in enumerate(
            (("reporter", "wrong secret"), ("?", "unknown client"), ("web", "retired secret"))
        ):
            denial = Denial(
                client_id,
                "token",
                "client_credentials",
                "invalid_client",
                reason,
                f"address-{number}",
            )
            log.deny(
                denial,
                count=10 + number,
                first_at=story.now,
                last_at=story.now + timedelta(seconds=1),
                provenance=story.act(minutes=DAY / 3),
            )
        story.record(log)

    def _administration(self) -> None:
        story = self.story
        why = "access review"
        self.reporter.set_scopes(
            ("mcp", "service", "a2a"), catalogue=CATALOGUE, provenance=story.act(why=why)
        )
        self.reporter.rotate_secret(
            secret_id="reporter-secret-2",
            pepper_id="pepper-1",
            verifier="1" * 64,
            overlap=timedelta(hours=24),
            provenance=story.act(by="operator-2"),
        )
        story.machine_token(self.reporter, owner=self.owner, credential_id="reporter-secret-2")
        self.reporter.set_owner(None, provenance=story.act())
        self.reporter.set_token_policy(TokenPolicy(lifetime=600), provenance=story.act())
        self.web.set_audiences(
            Audiences(allowed=("https://api.example",)), provenance=story.act(why=why)
        )
        self.web.set_scopes(("user", "mcp"), catalogue=CATALOGUE, provenance=story.act())
        self.bob.assign_roles(("user",), catalogue=CATALOGUE, provenance=story.act())
        self.alice.password_set(story.act(by="alice"))
        story.record(self.reporter, self.web, self.bob, self.alice)
        self.keys[1].activate(story.act(by="system"))
        self.keys[0].retire(
            verify_until=story.now + timedelta(hours=25), provenance=story.act(by="system")
        )
        story.record(*self.keys)
        story.machine_token(self.capital, signing=SigningChoice("key-2", "EdDSA"))
        access = InitialAccess.issue(
            "access-1",
            KeptVerifier("pepper-1", "3" * 64),
            expires_at=story.now + timedelta(days=1),
            max_uses=2,
            provenance=story.act(),
        )
        access.use("dormant", story.act())
        access.revoke(story.act())
        story.record(access)
        export = AuditExport.start(
            stream_id(),
            first_position=1,
            last_position=story.position,
            rows=story.position,
            provenance=story.act(by="cli:root", why="audit 2026"),
        )
        readings = AuditReading.start(
            stream_id(), process="p-1", day=story.now.date().isoformat(), provenance=story.act()
        )
        for what, count in (("events", 40), ("report sample", 1), ("events", 2)):
            readings.read(
                Reading("auditor", "http", what),
                parameters=(),
                count=count,
                first_at=story.now,
                last_at=story.now,
                provenance=story.act(),
            )
        forgeries = ForgeryLog.start(
            stream_id(), process="p-1", day=story.now.date().isoformat(), provenance=story.act()
        )
        for kid, differs, count in (
            ("key-1", ("exp", "scope"), 3),
            ("key-2", (NOT_RECORDED,), 2),
            ("key-2", (NOT_RECORDED,), 4),
        ):
            forgeries.present(
                Forgery(kid, differs),
                Presentation("introspect", "reporter", "address-0", str(self.leaf)),
                jtis=(str(self.leaf),),
                count=count,
                first_at=story.now,
                last_at=story.now,
                provenance=story.act(),
            )
        story.record(export, readings, forgeries)

    def _endings(self) -> None:
        story = self.story
        self.family.revoke(by="alice", reason="logged out", provenance=story.act(by="alice"))
        self.session.end(by="alice", reason="logged out", provenance=story.act(by="alice"))
        self.first.revoke(
            by="alice", reason="logged out", provenance=story.act(minutes=0), descendants=True
        )
        story.record(self.family, self.session, self.first)
        self.dormant.disable(story.act(why="dormant"))
        self.issuer.remove(story.act())
        self.owner.deactivate(story.act(why="left"))
        story.record(self.dormant, self.issuer, self.owner)
        story.machine_token(self.capital)
