"""Secrets are references in the configuration, and never shown."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

MASK = "**********"
REFERENCE_EXPECTED = 'expected "env:NAME" or "file:/path", never the secret itself'


def read_secret(reference: object) -> object:
    """The secret behind "env:NAME" or "file:/path"; a secret in the file itself is refused."""
    if not isinstance(reference, str):
        return reference
    kind, _, where = reference.partition(":")
    if kind == "env":
        if where not in os.environ:
            raise ValueError(f"expected the environment variable {where} to be set")
        return os.environ[where]
    if kind == "file":
        try:
            return Path(where).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"expected a readable file: {error.strerror}") from None
    raise ValueError(REFERENCE_EXPECTED)


def without_password(address: str) -> str:
    """As it is shown: a password in an address is a secret too, in a URL and in libpq's words."""
    in_url = re.sub(r"(//[^:/@]*):[^@/]*@", rf"\1:{MASK}@", address)
    return re.sub(r"(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", rf"\1{MASK}", in_url)


def _check_encryption_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < 16:
        raise ValueError("expected a key of 16 characters at least: openssl rand -base64 32")
    return key


Secret = Annotated[SecretStr, BeforeValidator(read_secret)]
EncryptionKey = Annotated[Secret, AfterValidator(_check_encryption_key)]
