"""The administration API: clients, principals, issuers and keys, with scope `clients:manage`.

Every act is recorded with who did it; the optional header X-Change-Reason says why.
"""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Router, get, patch, post, put
from litestar.datastructures import CacheControlHeader
from litestar.params import Parameter

from api import person_logins
from api.admin_issuers import issuer_routes
from api.admin_registration import registration_token_routes
from api.admin_requests import (
    AnyRequest,
    ClientChanges,
    KeyRotation,
    NewPrincipal,
    PersonLogin,
    Reason,
    Roles,
    SecretRotation,
    UpstreamIdentity,
    administrative,
    client_named,
)
from api.audit_reads import noting_reads
from api.audit_routes import NAME
from api.composition import Service
from api.ends_of_people import deactivate
from api.views import (
    ClientView,
    ClientWithSecret,
    KeyView,
    PrincipalView,
    PrincipalWithLogin,
    SessionView,
)
from application import account
from application.administration import clients, principals, signing_keys
from application.ending import end_session
from application.errors import InvalidRequest, NotFound
from application.people.passwords import PresentedPassword
from domain.client_configuration import ClientConfiguration
from projections import sessions


def admin_router(service: Service) -> Router:
    """Return the routes below /admin."""
    return Router(
        "/admin",
        route_handlers=[
            *_clients(service),
            *_principals(service),
            *_people(service),
            *issuer_routes(service),
            *registration_token_routes(service),
            *_keys(service),
        ],
        guards=[
            service.resource_server.requires(
                "clients:manage",
                max_age=service.settings.protected_max_age,
                machines=True,
            )
        ],
        before_request=noting_reads(service),
        security=[{"bearer": ["clients:manage"]}],
        cache_control=CacheControlHeader(no_store=True),
    )


def _clients(service: Service) -> list[Any]:
    @get("/clients", tags=["Clients"], summary="All clients")
    async def list_clients() -> list[ClientView]:
        await service.directory.refresh()
        return [ClientView.of(client) for client in service.directory.clients()]

    @post("/clients", tags=["Clients"], summary="Register a client; its secret is shown once")
    async def register_client(
        request: AnyRequest, data: ClientConfiguration, reason: Reason = None
    ) -> ClientWithSecret:
        client, secret = await clients.register(
            data, service=service, provenance=administrative(request, service, reason)
        )
        await service.directory.refresh()
        return ClientWithSecret.with_secret(client, secret)

    @get("/clients/{client_id:str}", tags=["Clients"], summary="One client")
    async def show_client(client_id: str) -> ClientView:
        await service.directory.refresh()
        client = service.directory.client(client_named(client_id))
        if client is None:
            raise NotFound(f"no such client: {client_id}")
        return ClientView.of(client)

    @patch("/clients/{client_id:str}", tags=["Clients"], summary="Change a client")
    async def change_client(
        request: AnyRequest, client_id: str, data: ClientChanges, reason: Reason = None
    ) -> ClientView:
        changes = clients.Changes(**{name: getattr(data, name) for name in data.model_fields_set})
        client = await clients.change(
            client_named(client_id),
            changes,
            service=service,
            provenance=administrative(request, service, reason),
        )
        await service.directory.refresh()
        return ClientView.of(client)

    @post(
        "/clients/{client_id:str}/rotate-secret",
        tags=["Clients"],
        summary="Make a new secret, shown once; the present ones end after the overlap",
    )
    async def rotate_secret(
        request: AnyRequest, client_id: str, data: SecretRotation, reason: Reason = None
    ) -> ClientWithSecret:
        client, secret = await clients.rotate_secret(
            client_named(client_id),
            overlap=timedelta(seconds=data.overlap_seconds),
            service=service,
            provenance=administrative(request, service, reason),
        )
        await service.directory.refresh()
        return ClientWithSecret.with_secret(client, secret)

    return [list_clients, register_client, show_client, change_client, rotate_secret]


def _principals(service: Service) -> list[Any]:
    @get("/principals", tags=["Principals"], summary="All principals")
    async def list_principals() -> list[PrincipalView]:
        await service.directory.refresh()
        return [PrincipalView.of(principal) for principal in service.directory.principals()]

    @post("/principals", tags=["Principals"], summary="Make a principal known")
    async def register_principal(
        request: AnyRequest, data: NewPrincipal, reason: Reason = None
    ) -> PrincipalView:
        principal = await principals.register(
            data.subject,
            data.roles,
            service=service,
            provenance=administrative(request, service, reason),
        )
        await service.directory.refresh()
        return PrincipalView.of(principal)

    @get("/principals/{subject:str}", tags=["Principals"], summary="One principal")
    async def show_principal(subject: str) -> PrincipalView:
        await service.directory.refresh()
        principal = service.directory.principal(subject)
        if principal is None:
            raise NotFound(f"no such principal: {subject}")
        return PrincipalView.of(principal)

    @put("/principals/{subject:str}/roles", tags=["Principals"], summary="Replace the roles")
    async def assign_roles(
        request: AnyRequest, subject: str, data: Roles, reason: Reason = None
    ) -> PrincipalView:
        principal = await principals.assign_roles(
            subject,
            data.roles,
            service=service,
            provenance=administrative(request, service, reason),
        )
        await service.directory.refresh()
        return PrincipalView.of(principal)

    @post(
        "/principals/{subject:str}/{act:str}",
        tags=["Principals"],
        summary="Withdraw the principal's authority (deactivate) or give it back (reactivate)",
        status_code=200,
    )
    async def set_active(
        request: AnyRequest, subject: str, act: str, reason: Reason = None
    ) -> PrincipalView:
        if act not in ("deactivate", "reactivate"):
            raise NotFound(f"no such act: {act}")
        provenance = administrative(request, service, reason)
        if act == "deactivate":
            principal = await deactivate(subject, service=service, provenance=provenance)
        else:
            principal = await principals.set_active(
                subject, active=True, service=service, provenance=provenance
            )
        await service.directory.refresh()
        return PrincipalView.of(principal)

    return [list_principals, register_principal, show_principal, assign_roles, set_active]


def _people(service: Service) -> list[Any]:
    @put(
        "/principals/{subject:str}/login",
        tags=["Principals"],
        summary="Let a principal log in with a name and a password; another one ends its sessions",
    )
    async def set_login(
        request: AnyRequest, subject: str, data: PersonLogin, reason: Reason = None
    ) -> PrincipalWithLogin:
        return await person_logins.set_login(
            subject,
            data.login,
            PresentedPassword(data.password.get_secret_value()),
            service=service,
            provenance=administrative(request, service, reason),
        )

    @put(
        "/principals/{subject:str}/identity",
        tags=["Principals"],
        summary="Let an identity at the upstream provider log a principal in",
    )
    async def link_identity(
        request: AnyRequest, subject: str, data: UpstreamIdentity, reason: Reason = None
    ) -> PrincipalView:
        principal = await account.link_identity(
            subject,
            data.upstream_subject,
            issuer=service.settings.upstream_issuer,
            service=service,
            provenance=administrative(request, service, reason),
        )
        return PrincipalView.of(principal)

    @get(
        "/sessions",
        tags=["Sessions"],
        summary="Logins of people, newest first; the last id as `before` asks for older ones",
    )
    async def list_sessions(
        subject: str | None = None,
        alive: bool = True,
        before: Annotated[str | None, NAME] = None,
        limit: Annotated[int, Parameter(ge=1, le=sessions.PAGE)] = sessions.PAGE,
    ) -> list[SessionView]:
        now = service.clock.now() if alive else None
        query = sessions.logins(subject, now=now, before=before, limit=limit)
        return [SessionView.of(entry) for entry in await service.read_models.fetch(query)]

    @get(
        "/sessions/{session_id:str}",
        tags=["Sessions"],
        summary="One session and the families of refresh tokens under it",
    )
    async def show_session(session_id: str) -> list[SessionView]:
        found = await service.read_models.fetch(sessions.of_session(session_id))
        if not found:
            raise NotFound(f"no such session: {session_id}")
        return [SessionView.of(entry) for entry in found]

    @post(
        "/sessions/{session_id:str}/end",
        tags=["Sessions"],
        summary="End a session, its families and their tokens",
        status_code=200,
    )
    async def end(request: AnyRequest, session_id: str, reason: Reason = None) -> dict[str, str]:
        provenance = administrative(request, service, reason)
        ended = await end_session(
            session_id,
            service,
            by=provenance.by,
            reason=provenance.why or "ended by an administrator",
            provenance=provenance,
        )
        if ended is None:
            raise NotFound(f"no such session: {session_id}")
        return {"session_id": session_id, "subject": ended.subject, "state": "ended"}

    return [set_login, link_identity, list_sessions, show_session, end]


def _keys(service: Service) -> list[Any]:
    @get("/keys", tags=["Keys"], summary="All signing keys, retired ones too")
    async def list_keys() -> list[KeyView]:
        await service.directory.refresh()
        return [KeyView.of(key) for key in service.directory.keys()]

    @post("/keys/rotate", tags=["Keys"], summary="Let the next key sign", status_code=200)
    async def rotate_key(request: AnyRequest, data: KeyRotation, reason: Reason = None) -> KeyView:
        offered = service.settings.signing_algorithms
        if data.algorithm not in (None, *offered):
            raise InvalidRequest(f"algorithm: this deployment signs with {', '.join(offered)}")
        await service.directory.refresh()
        key = await signing_keys.rotate(
            data.algorithm or offered[0],
            service.directory.keys(),
            force=data.force,
            service=service,
            provenance=administrative(request, service, reason),
        )
        await service.directory.refresh()
        await service.load_keys()
        return KeyView.of(key)

    @post(
        "/keys/{kid:str}/revoke",
        tags=["Keys"],
        summary="Let a leaked key vouch for nothing; the tokens it signed are void",
        status_code=200,
    )
    async def revoke_key(request: AnyRequest, kid: str, reason: Reason = None) -> KeyView:
        key = await signing_keys.revoke(
            kid, service=service, provenance=administrative(request, service, reason)
        )
        await service.directory.refresh()
        await service.load_keys()
        return KeyView.of(key)

    return [list_keys, rotate_key, revoke_key]
