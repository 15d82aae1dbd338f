"""Static files under names that carry their content's hash, so that browsers keep them for ever."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    content_type: str


class StaticFiles:
    """All files of a folder, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._addresses: dict[str, str] = {}
        self._files: dict[str, StaticFile] = {}
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:HASH_CHARACTERS]
            hashed = f"{path.stem}.{digest}{path.suffix}"
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._addresses[path.name] = f"/static/{hashed}"
            self._files[hashed] = StaticFile(content, kind)

    def address(self, name: str) -> str:
        """Where `name` is served; KeyError when there is no such file."""
        return self._addresses[name]

    async def serve(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found.content,
            content_type=found.content_type,
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )
