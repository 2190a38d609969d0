"""The Python client, sync and asyncio: retries before the first event, deadlines, resumable downloads.

from gensafe.client import Client

with Client("127.0.0.1:50051") as client:
    output = client.generate("a red circle at the top left", "image")
    open("circle.png", "wb").write(output.data)
"""

from gensafe.client.aio import AsyncClient
from gensafe.client.messages import ClientOptions, File, Output, ReviewCopy
from gensafe.client.sync import Client

__all__ = ["AsyncClient", "Client", "ClientOptions", "File", "Output", "ReviewCopy"]
