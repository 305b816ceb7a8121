"""Clients that a request names by the URL of their document: known before the request is judged."""

from api.composition import Service
from application.request_context import RequestContext


async def admit_client(
    client_id: str, context: RequestContext, service: Service, *, newcomers: bool
) -> None:
    """Let the client be known as its document has it, to every replica; others are left alone.

    Raises UnusableDocument, LedgerUnavailable.
    """
    if client_id.startswith("https://") and await service.documents.admit(
        client_id, newcomers=newcomers, asked=context.provenance, service=service
    ):
        await service.directory.seen_by_all()
