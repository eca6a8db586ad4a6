"""The official Python client, driven line by line; the same lines as client.mjs.

client.py --transport=http|stdio --era=legacy|auto|2026-07-28 [--url=URL] [-- COMMAND ARGUMENT...]
The credential is in FLOPINIO_CREDENTIAL. Runs on build/clients/venv.
"""
import json
import os
import sys

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


class Driver:
    def __init__(self, client):
        self.client = client
        self.scopes = {}

    async def list(self, _):
        tools, cursor = [], None
        while True:
            page = await self.client.list_tools(cursor=cursor)
            tools += [plain(tool) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return {"tools": tools}

    async def call(self, m):
        async def on_progress(progress, total, message):
            say({"n": m["n"], "progress": {"progress": progress, "total": total,
                                           "message": message}})

        timeout = m.get("timeout_ms")
        return plain(await self.client.call_tool(
            m["name"], m["arguments"],
            read_timeout_seconds=timeout / 1000 if timeout else None,
            progress_callback=on_progress if m.get("progress") else None, meta=m.get("meta")))

    async def ping(self, _):
        return plain(await self.client.send_ping())

    async def run(self, m):
        try:
            with anyio.CancelScope() as self.scopes[m["n"]]:
                say({"n": m["n"], "ok": await getattr(self, m["op"])(m)})
                return
            say({"n": m["n"], "error": {"name": "Cancelled", "code": None, "message": "cancelled"}})
        except MCPError as e:
            say({"n": m["n"], "error": {"name": "MCPError", "code": e.error.code,
                                        "message": e.error.message}})
        except Exception as e:  # what the SDK throws is what is tested
            say({"n": m["n"], "error": {"name": type(e).__name__, "code": None,
                                        "message": str(e)}})


async def serve(client, lines, connected):
    driver = Driver(client)
    info = client.server_info
    say({"n": connected, "ok": {"server": plain(info) if info else None,
                                "version": client.protocol_version}})
    async with anyio.create_task_group() as tasks:
        async for text in lines:
            m = json.loads(text)
            if m["op"] == "cancel":
                driver.scopes[m["n"]].cancel()
            elif m["op"] == "close":
                tasks.cancel_scope.cancel()
                return m["n"]
            else:
                tasks.start_soon(driver.run, m)
    return None


async def main():
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = dict(a[2:].split("=", 1) for a in sys.argv[1:at])
    token = os.environ["FLOPINIO_CREDENTIAL"]
    lines = anyio.wrap_file(sys.stdin)
    first = json.loads(await lines.readline())
    closing = None
    async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(30, read=300)) as http:
        if options["transport"] == "http":
            server = streamable_http_client(options["url"], http_client=http)
        else:
            server = StdioServerParameters(command=sys.argv[at + 1], args=sys.argv[at + 2:],
                                           env=dict(os.environ))
        try:
            async with Client(server, mode=options["era"]) as client:
                closing = await serve(client, lines, first["n"])
        except MCPError as e:
            say({"n": first["n"], "error": {"name": "MCPError", "code": e.error.code,
                                            "message": e.error.message}})
    if closing is not None:
        say({"n": closing, "ok": {}})


anyio.run(main)
