"""A web server as a student might write one; it tells what it was sent. Run on a machine's network."""

import asyncio
import sys

from tornado import web, websocket


class Echo(web.RequestHandler):
    """Answers with the request's headers and address, and with headers that are none of its business."""

    def get(self) -> None:
        self.set_header("Set-Cookie", "session=1; Path=/; Domain=127.0.0.1; HttpOnly")
        for cookie in (
            "_xsrf=evil; Path=/",
            "__Host-jupyterhub-user-ada=evil; Path=/",
            "jupyterhub-user-ada=evil; Path=/user/ada/",
            "username-x=evil",
        ):
            self.add_header("Set-Cookie", cookie)
        self.set_header("Service-Worker-Allowed", "/")
        self.set_header("Clear-Site-Data", '"*"')
        self.set_header("X-Own", "yes")
        if self.request.headers.get("Accept") == "text/event-stream":
            self.set_header("Content-Type", "text/event-stream")
            self.finish("data: " + repr(dict(self.request.headers)) + "\n\n")
        else:
            self.finish({"headers": dict(self.request.headers), "uri": self.request.uri})

    def post(self) -> None:
        self.redirect("/done")


class Talk(websocket.WebSocketHandler):
    """Tells the headers, then repeats what it hears."""

    def open(self, *args: str) -> None:
        self.write_message(dict(self.request.headers))

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))


async def main() -> None:
    web.Application([("/talk", Talk), ("/.*", Echo)]).listen(int(sys.argv[1]), "0.0.0.0")
    await asyncio.Event().wait()


asyncio.run(main())
