"""What can go wrong in the web app without being anybody's mistake here."""

from common.errors import DhmonError


class CollectorError(DhmonError):
    """The collector does not answer, or not with what was asked for."""


class SessionsAwayError(DhmonError):
    """Redis does not answer: nobody can be let in, and nobody let out."""


class BusyError(DhmonError):
    """More is asked for at once than can be done soon."""


class CrossSiteError(DhmonError):
    """Another site made the browser send this request."""


class SignInError(DhmonError):
    """A program asked for what is for people who are signed in."""
