"""A process that takes part in the embedded Valkey of a data folder until its stdin is closed."""

import asyncio
import sys
from pathlib import Path

from common.valkey import embedded_valkey


async def take_part(data_directory: Path) -> None:
    async with embedded_valkey(data_directory):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(take_part(Path(sys.argv[1])))
