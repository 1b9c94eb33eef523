"""A receiver of webhooks that verifies every message with the Standard Webhooks library and writes down what it got.

webhook_receiver.py SECRET_FILE LOG MODE PORT [CERTIFICATE KEY]

MODE is a file with the status to answer and the seconds to wait before that: "204 0". Each message becomes a line of LOG before
it is answered. Prints its port.
"""

import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret_file, log_file, mode_file, port, *tls = sys.argv[1:]
lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            # Verifies the signature, and that the time is within five minutes of now.
            message = Webhook(open(secret_file).read().strip()).verify(body, dict(self.headers))
            verified = True
        except WebhookVerificationError as error:
            message, verified = str(error), False
        status, wait = open(mode_file).read().split()
        line = {
            "at": time.time(),
            "id": self.headers["webhook-id"],
            "signatures": len(self.headers["webhook-signature"].split()),
            "verified": verified,
            "status": int(status),
            "message": message,
        }
        with lock, open(log_file, "a") as log:
            log.write(json.dumps(line) + "\n")
        time.sleep(float(wait))
        self.send_response(int(status))
        if status.startswith("3"):
            self.send_header("location", self.path)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"listening {server.server_port}", flush=True)
server.serve_forever()
