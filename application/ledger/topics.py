"""Imports every aggregate, so that each permanent topic resolves to its class."""

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_usage import ClientUsage
from domain.denial_log import DenialLog
from domain.principal import Principal
from domain.recorded import Recorded
from domain.signing_key import SigningKey

AGGREGATES: tuple[type[Recorded], ...] = (
    AccessToken,
    Client,
    ClientUsage,
    DenialLog,
    Principal,
    SigningKey,
)
