"""A chat bot that asks people for approvals: `python approve_by_chat.py 8099 /etc/etcd-handoff/webhook-secret`.

The workers' webhook tells it which operation waits. Standard output and standard input stand for the chat here: put
your chat's calls into `ask` and `main`. People answer with `<user> yes <number>` or `<user> no <number>`.
"""

import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from etcd_handoff.client import ClientError
from etcd_handoff.client.blocking import connect
from etcd_handoff.webhook import read_secret, signature

OLDEST_SECONDS = 300
LONGEST_BYTES = 1_000_000


class Bot(ThreadingHTTPServer):
    """Takes events, and asks about those that want an approval. `waiting` has the workflow ID of each question."""

    def __init__(self, port: int, secret: bytes) -> None:
        super().__init__(("127.0.0.1", port), Webhook)
        self.secret = secret
        self.seen: set[str] = set()
        self.waiting: dict[str, str] = {}

    def ask(self, event: dict[str, dict[str, Any]]) -> None:
        """Ask people, in the chat, whether this may be done to this member."""
        data = event["data"]
        number = str(len(self.waiting) + 1)
        self.waiting[number] = data["workflow_id"]
        what = f"{data['operation']} of {data['member']} in cluster {data['cluster']}"
        lines = [f"{number}: {what}: {data['text']} (reason: {data['request_reason'] or '-'})"]
        lines += [f"   {place}. {step}" for place, step in enumerate(data.get("plan", ()), 1)]  # workers of now send it
        print("\n".join(lines), flush=True)


class Webhook(BaseHTTPRequestHandler):
    """One request of a worker."""

    server: Bot

    def do_POST(self) -> None:
        """Ask about an event that is genuine and new; answer 2xx only when it needs not be sent again."""
        length = int(self.headers["Content-Length"] or 0)
        body = self.rfile.read(length) if length <= LONGEST_BYTES else b""
        if not self.is_genuine(body):
            self.send_error(401)
            return
        event = json.loads(body)
        if event["id"] not in self.server.seen and event["type"].endswith(".approval-requested"):
            self.server.ask(event)
        self.server.seen.add(event["id"])
        self.send_response(204)
        self.end_headers()

    def is_genuine(self, body: bytes) -> bool:
        """Whether a worker has signed it just now."""
        event_id, at = self.headers["webhook-id"] or "", self.headers["webhook-timestamp"] or ""
        if not at.isdecimal() or abs(time.time() - int(at)) > OLDEST_SECONDS:
            return False
        expected = signature(self.server.secret, event_id, int(at), body)
        return hmac.compare_digest(expected.encode(), (self.headers["webhook-signature"] or "").encode())


def answer(bot: Bot, line: str) -> str:
    """What people read after one of them has answered; Temporal records that user as the sender."""
    user, word, number = (*line.split(), "", "", "")[:3]
    if word not in ("yes", "no") or number not in bot.waiting:
        return "answer with: <user> yes <number>, or <user> no <number>"
    try:
        with connect(identity=f"{user}@chat") as handoff:
            operation = handoff.attach(bot.waiting[number])
            if word == "yes":
                return operation.approve(user, "in the chat")
            return operation.cancel(f"{user} said no in the chat")
    except ClientError as error:
        return f"{type(error).__name__}: {error}"


def main(port: str, secret_file: str) -> None:
    """Serve until the chat ends."""
    with Bot(int(port), read_secret(Path(secret_file))) as bot:
        Thread(target=bot.serve_forever, daemon=True).start()
        print(f"listening on port {bot.server_port}", flush=True)
        for line in sys.stdin:
            print(answer(bot, line), flush=True)
        bot.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
