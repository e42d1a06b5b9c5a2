"""What a student might write: a web server with one page and a websocket that shouts back."""

import asyncio
import base64
import hashlib

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    key = next((value for name, value in fields.items() if name.lower() == "sec-websocket-key"), None)
    if key is None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>A page of my own</h1>")
        await writer.drain()
        writer.close()
        return
    accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    length = (await reader.readexactly(2))[1] & 127
    mask = await reader.readexactly(4)
    text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(length)))
    writer.write(bytes([0x81, length]) + text.upper())
    await writer.drain()


async def main() -> None:
    """Serve on port 8080 until killed."""
    async with await asyncio.start_server(serve, "0.0.0.0", 8080) as server:
        await server.serve_forever()


asyncio.run(main())
