"""Where an account is reached from outside: through an endpoint of its own in Dify, or at this server's public address.

Said by the account's `public_url` (the endpoint's address), else by SHENQIAO_CHANNEL_PUBLIC_URL. Used by whatever makes
an address for the platform or for a person: `doctor`, `finish`, `page_routes`, `status`.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tool_server.channel.account import Account
from tool_server.settings import Settings

# On every answer to the platform and on every page: by it the relay of Dify's endpoint knows that it reached this
# server. What comes without it is somebody else's, and neither shown nor taken for an acknowledgement.
MARK = "X-Shenqiao"


@dataclass(frozen=True)
class Public:
    """An account's public addresses; each is empty where there is none."""

    callback: str = ""
    base: str = ""  # what stands before `/answers/…` and `/login`

    def page(self, secret: str) -> str:
        """The address of a whole answer."""
        return f"{self.base}/answers/{secret}"

    @property
    def login(self) -> str:
        """Where WeCom sends a browser back to."""
        return f"{self.base}/login"

    @property
    def cookie_path(self) -> str:
        """Pages and the return from signing in, nothing else of this host."""
        return urlsplit(self.base).path or "/"

    @property
    def secure(self) -> bool:
        return self.base.startswith("https://")


def public_of(settings: Settings, name: str, account: Account) -> Public:
    """The addresses of the account called `name`."""
    if account.public_url:
        return Public(f"{account.public_url}/callback", account.public_url)
    public = settings.channel_public_url.rstrip("/")
    if not public:
        return Public()
    if "{account}" in public:  # of callbacks alone: no page can be told from it
        return Public(public.replace("{account}", name))
    return Public(f"{public}/channel/{name}/callback", f"{public}/channel")
