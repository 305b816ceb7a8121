"""Imports every aggregate, so that each permanent topic resolves to its class."""

from domain.access_token import AccessToken
from domain.audit_export import AuditExport
from domain.audit_reading import AuditReading
from domain.authorization_code import AuthorizationCode
from domain.client import Client
from domain.client_usage import ClientUsage
from domain.consents import Consents
from domain.denial_log import DenialLog
from domain.device_authorization import DeviceAuthorization
from domain.forgery_log import ForgeryLog
from domain.initial_access import InitialAccess
from domain.log_continuity import LogContinuity
from domain.principal import Principal
from domain.recorded import Recorded
from domain.refresh_token_family import RefreshTokenFamily
from domain.retention import Retention
from domain.session import Session
from domain.signing_key import SigningKey
from domain.trusted_issuer import TrustedIssuer

AGGREGATES: tuple[type[Recorded], ...] = (
    AccessToken,
    AuditExport,
    AuditReading,
    AuthorizationCode,
    Client,
    ClientUsage,
    Consents,
    DenialLog,
    DeviceAuthorization,
    ForgeryLog,
    InitialAccess,
    LogContinuity,
    Principal,
    RefreshTokenFamily,
    Retention,
    Session,
    SigningKey,
    TrustedIssuer,
)
