"""Static files under names that carry their content's hash, so that browsers keep them for ever."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    address: str
    content: bytes
    content_type: str


STATIC: web.AppKey[dict[str, StaticFile]] = web.AppKey("STATIC")


def read_static(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """All files of `folder` by their own names, read once."""
    return {path.name: _read(path) for path in sorted(folder.iterdir())}


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:HASH_CHARACTERS]
    return StaticFile(
        address=f"/static/{path.stem}.{digest}{path.suffix}",
        content=content,
        content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
    )


async def serve(request: web.Request) -> web.Response:
    for file in request.app[STATIC].values():
        if file.address == request.path:
            response = web.Response(body=file.content, content_type=file.content_type)
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            response.enable_compression()
            return response
    raise web.HTTPNotFound
