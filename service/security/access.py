"""Access(settings): everything that decides who comes in, in one place; and whether a server may start open at all."""

from __future__ import annotations

from service.security.addresses import is_loopback
from service.security.keys import ApiKeys
from service.security.principals import ANYBODY, Authenticator, Principal, Unauthenticated
from service.security.tickets import Tickets
from service.settings import Settings, SettingsInvalid
from service.settings_sections import AuthSettings


def check_exposure(settings: Settings) -> None:
    """Raises SettingsInvalid where others could reach a server that lets everybody in, unless that is wanted."""
    if settings.auth.required or settings.auth.allow_anonymous or is_loopback(settings.server.host):
        return
    raise SettingsInvalid(
        f"server.host: others can reach {settings.server.host or 'this address'}, and nothing asks them who they are. "
        "Make a key by `lockon keys create NAME --file keys.toml` and name that file in auth.keys; or, where something "
        "else decides who gets to the port, set auth.allow_anonymous"
    )


class Access:
    """The authenticators in force, and the tickets. Raises KeysInvalid or SettingsInvalid."""

    def __init__(self, settings: AuthSettings) -> None:
        self.required = settings.required
        self.tickets = Tickets()
        self._authenticators: list[Authenticator] = []
        if settings.keys is not None:
            self._authenticators.append(ApiKeys(settings.keys, settings.pepper.get_secret_value()))
        if settings.jwks is not None:
            self._authenticators.append(_tokens(settings))

    async def principal(self, bearer: str | None) -> Principal:
        """The caller with these credentials; raises Unauthenticated."""
        if not self.required:
            return ANYBODY
        if bearer is None:
            raise Unauthenticated("this server needs an API key or a token: Authorization: Bearer …")
        for authenticator in self._authenticators:
            found = await authenticator.principal(bearer)
            if found is not None:
                return found
        raise Unauthenticated("these credentials are of no kind that this server takes")

    def stands(self, principal: Principal) -> bool:
        """Whether someone who was let in may still be here."""
        return all(authenticator.stands(principal) for authenticator in self._authenticators)


def _tokens(settings: AuthSettings) -> Authenticator:
    try:
        from service.security.tokens import Tokens
    except ImportError as error:
        raise SettingsInvalid(f"auth.jwks: tokens need PyJWT: pip install 'lockon[jwt]' ({error})") from error
    return Tokens(settings)
