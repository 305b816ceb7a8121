"""The OpenAPI document is true: schemathesis finds no failure and no answer that is not in it.

It reads the document of a running service, makes requests out of it, some as described and some
that break the description, and holds each answer against it. The service is one of their own:
clients are disabled, keys rotated, sessions ended.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.application.people.upstream_provider import running_provider
from tests.cli.running_service import running_service
from tests.http.contract import Contract, Good, a_contract, good_requests
from tests.http.live import Live
from tests.postgres import Postgres
from tests.waiting import eventually

EXAMPLES = [("nobody", 1), ("person", 2), ("auditor", 2), ("client", 2), ("administrator", 3)]
"""Who asks, and how often: of each operation, as described and not. The last two get furthest."""
AnyOperation = APIOperation[Any, Any, Any, Any]
Operations = Mapping[str, AnyOperation]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def contract(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    """A service that these tests may take apart."""
    with (
        postgres.database() as url,
        running_provider(datetime.now(UTC)) as provider,
        running_service(
            tmp_path_factory.mktemp("contract"),
            DATABASE_URL=url,
            GRANTLEDGER_UPSTREAM_ISSUER=provider.issuer,
            GRANTLEDGER_UPSTREAM_CLIENT_ID="ours",
            GRANTLEDGER_UPSTREAM_CLIENT_SECRET="unused",
            GRANTLEDGER_REGISTRATION="open",
            GRANTLEDGER_JWKS_MAX_AGE="0",  # so that keys can be rotated without a wait
            GRANTLEDGER_RATE_LIMIT_REGISTRATION_PER_ADDRESS="30/minute",
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        live = Live(service, http, url)
        made = a_contract(live, provider.issuer)
        eventually(live.projected)
        yield made


@pytest.fixture(scope="module")
def operations(contract: Contract) -> Operations:
    """What the document of the service describes, by method and path."""
    document = schemathesis.openapi.from_url(f"{contract.live.service.url}/schema/openapi.json")
    found = list(document.get_all_operations())
    assert all(isinstance(each, Ok) for each in found), found
    return {each.ok().label: each.ok() for each in found if isinstance(each, Ok)}


def test_every_operation_succeeds_as_described(contract: Contract, operations: Operations) -> None:
    """A right request gets an answer that fits, for each operation that is described."""
    asked = set()
    for good in good_requests(contract):
        answer = send(contract, operations[good.operation], good)
        asked.add(good.operation)

        assert answer.status_code == good.status, f"{good}: {answer.text}"
    assert asked == set(operations)


def send(contract: Contract, operation: AnyOperation, good: Good) -> schemathesis.Response:
    """Send a request that succeeds."""
    request: dict[str, Any] = {
        "path_parameters": dict(good.path or {}),
        "query": dict(good.query or {}),
    }
    if good.body is not None:
        (body,) = operation.body
        request |= {"body": dict(good.body), "media_type": body.media_type}
    headers = dict(contract.headers[good.caller])
    return operation.Case(**request).call_and_validate(headers=headers, checks=CHECKS)


@pytest.mark.parametrize(("caller", "examples"), EXAMPLES)
def test_no_answer_is_a_failure_or_undescribed(
    contract: Contract, operations: Operations, caller: str, examples: int
) -> None:
    """Whoever asks, as described or not: status, type, headers and body are in the document."""
    problems: dict[tuple[str, str], str] = {}
    for label, operation in operations.items():
        for mode in GenerationMode:
            for problem in found_in(operation, mode, contract, caller, examples):
                title = problem.split("\n")[2]
                problems.setdefault((label, title), problem)

    assert not problems, "\n".join(problems.values())


def found_in(
    operation: AnyOperation,
    mode: GenerationMode,
    contract: Contract,
    caller: str,
    examples: int,
) -> list[str]:
    """Return what is wrong with the answers to requests that are made up for an operation."""
    problems = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode), st.booleans())
    def ask(case: Case[Any], there_is_one: bool) -> None:
        if isinstance(case.body, dict):
            case.body.pop("force", None)  # it revokes the key, and with it whoever asks next
        if there_is_one:
            case.path_parameters.update(
                {name: contract.names[name] for name in case.path_parameters}
            )
        try:
            case.call_and_validate(headers=dict(contract.headers[caller]), checks=CHECKS)
        except FailureGroup as failed:
            problems.append(str(failed))

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that carries nothing
        ask()
    return problems
