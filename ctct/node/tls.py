"""TLS contexts, in which both sides show certificates (PS3.15, B.12)."""

from __future__ import annotations

import ssl

from ctct.errors import ConfigError
from ctct.node.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """For a server, which asks those who call for a certificate.

    Raises:
        ConfigError: a file is missing or holds no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _load(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a client, which checks certificate and host name of the server.

    Raises:
        ConfigError: a file is missing or holds no certificate or key.
    """
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _load(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_password)
        context.load_verify_locations(tls.authorities)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"--tls-cert {tls.certificate}, --tls-key {tls.key}, --tls-ca {tls.authorities}: "
            f"cannot be used ({error}); give PEM files, the key without a password"
        ) from error
    return context


def _refuse_password() -> str:
    raise ValueError("the key has a password")
