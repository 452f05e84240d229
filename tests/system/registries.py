"""Registries of models on loopback, for the tests and the bench of pulls: one HTTPS server that is a hub (as Hugging
Face), a registry (as Ollama's), a storage and a plain site by the name that it is asked by, a name server that knows
these names, and an authority that vouches for them. What they do wrong is chosen by a test. Standard library only,
and openssl's program for the certificates.
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

NAMES = ("hub.test", "storage.test", "registry.test", "auth.test", "site.test", "evil.test", "localhost")
COMMIT = "c" * 40
MiB = 1 << 20


def make_certificates(folder):
    """ca.pem, and server.pem with its key, for all NAMES and 127.0.0.1; old.pem is one that has run out."""
    folder = pathlib.Path(folder)
    run = lambda *words: subprocess.run(words, cwd=folder, check=True, capture_output=True)  # noqa: E731
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
        "-out", "ca.pem", "-days", "2", "-subj", "/CN=Lares test authority", "-addext", "basicConstraints=critical,CA:TRUE")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
        "-out", "server.csr", "-subj", "/CN=localhost")
    names = ",".join([f"DNS:{name}" for name in NAMES] + ["IP:127.0.0.1", "IP:93.184.216.34"])
    (folder / "names").write_text(f"subjectAltName={names}\n")
    # OpenSSL 3.0 takes an end in the past by days alone, 3.5 by dates alone
    told = subprocess.run(["openssl", "x509", "-help"], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    past = ("-not_before", "20240101000000Z", "-not_after", "20240102000000Z") if b"-not_after" in told else ("-days", "-1")
    for name, lasts in (("server", ("-days", "2")), ("old", past)):
        run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", *lasts,
            "-out", f"{name}.crt", "-extfile", "names")
        (folder / f"{name}.pem").write_text((folder / f"{name}.crt").read_text() + (folder / "server.key").read_text())
    return folder / "ca.pem"


class NameServer(threading.Thread):
    """Answers for NAMES; `answers` may hold, by name, a list of addresses of which each question takes the next."""

    def __init__(self, address="127.0.0.1"):
        super().__init__(daemon=True)
        self.default = address
        self.answers = {}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            name, kind = ".".join(labels).lower(), struct.unpack(">H", question[at + 1:at + 3])[0]
            echo = question[12:at + 5]
            address = None
            if kind == 1 and name in self.answers:
                listed = self.answers[name]
                address = listed.pop(0) if len(listed) > 1 else listed[0]
            elif kind == 1 and name in NAMES:
                address = self.default
            self.asked.append((name, kind))
            known = name in NAMES or name in self.answers
            head = question[:2] + struct.pack(">HHHHH", 0x8180 | (0 if known else 3), 1, 1 if address else 0, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if address else b""
            self.socket.sendto(head + echo + record, peer)

    def stop(self):
        self.socket.close()


class Registries:
    """The server. `files` are what there is to pull, by path; `behave` holds what goes wrong."""

    def __init__(self, folder, address="127.0.0.1", port=0):
        self.folder = pathlib.Path(folder)
        self.authority = make_certificates(folder)
        self.names = NameServer(address)
        self.contents = {}  # name -> bytes or a path of a file
        self.hub = {}  # repo -> {"files": [(name, content, lie)], "licence": ..., "gated": token or None}
        self.tags = {}  # "library/x:tag" -> manifest
        self.blobs = {}  # digest -> bytes
        self.behave = {}
        self.requests = []  # (host, method, path, headers)
        self.sent = 0  # bytes of bodies of parts of files, as they were handed to the socket
        self.lock = threading.Lock()
        registries = self

        class Handler(Request):
            server_registries = registries

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # clients that leave are what is tested

            def finish_request(self, request, client_address):
                request.settimeout(60)
                # what waits here is counted as sent
                request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 << 10)
                with registries.tls(registries.behave.get("certificate", "server")).wrap_socket(request, server_side=True) as encrypted:
                    self.RequestHandlerClass(encrypted, client_address, self)

        self.server = Server((address, port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def tls(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{certificate}.pem")
        return context

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.names.stop()

    def settings(self, **more):
        lines = {"hub_url": f"https://hub.test:{self.port}", "registry_url": f"https://registry.test:{self.port}",
                 "hosts": " ".join(f"{name}:{self.port}" for name in ("hub.test", "storage.test", "registry.test",
                                                                         "auth.test")),
                 "name_servers": f"127.0.0.1:{self.names.port}", "authorities_file": str(self.authority),
                 "private_addresses": True, "stall": 2, "preload": False, **more}
        return "[models]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())

    def reset(self):
        self.behave.clear()
        self.requests.clear()
        self.sent = 0

    def add_hub(self, repo, files, gated=None, licence="apache-2.0"):
        self.hub[repo] = {"files": files, "gated": gated, "licence": licence}

    def add_tag(self, name, model, texts=(), lie=None):
        layers = []
        for kind, content in [("model", model), *texts]:
            digest = hashlib.sha256(content).hexdigest()
            self.blobs[digest] = content
            layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}",
                           "size": len(content)})
        if lie:
            lie(layers, self.blobs)
        self.tags[name] = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                           "layers": layers}

    def seen(self, host):
        return [request for request in self.requests if request[0] == host]


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_registries = None

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802
        r = self.server_registries
        host = (self.headers.get("Host") or "").split(":")[0]
        with r.lock:
            r.requests.append((host, self.command, self.path, dict(self.headers)))
        try:
            for name in (host, "all"):
                if name in r.behave and r.behave[name](self):
                    return
            getattr(self, "at_" + host.split(".")[0].replace("127", "site"), self.at_site)()
        except (OSError, ssl.SSLError):
            self.close_connection = True

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value, status=200, headers=()):
        self.answer(status, json.dumps(value).encode(), [("Content-Type", "application/json"), *headers])

    def redirect(self, where, status=302, headers=()):
        self.answer(status, b"", [("Location", where), *headers])

    def at_hub(self):
        r = self.server_registries
        found = re.fullmatch(r"/api/models/([^/]+/[^/?]+)\?blobs=true", self.path)
        if found:
            model = r.hub.get(found[1])
            if not model:
                return self.answer_json({"error": "Repository not found"}, 401)
            siblings = []
            for name, content, *lie in model["files"]:
                entry = {"rfilename": name, "size": size_of(content), "blobId": "b"}
                if name.endswith(".gguf"):
                    entry["lfs"] = {"sha256": digest_of(content), "size": size_of(content), "pointerSize": 134}
                if lie:
                    lie[0](entry)
                siblings.append(entry)
            return self.answer_json({"id": found[1], "sha": COMMIT, "gated": "manual" if model["gated"] else False,
                                     "cardData": {"license": model["licence"]}, "siblings": siblings})
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/" + COMMIT + "/(.+)", self.path)
        if found and found[1] in r.hub:
            model = r.hub[found[1]]
            if model["gated"] and self.headers.get("Authorization") != f"Bearer {model['gated']}":
                return self.answer_json({"error": "gated"}, 401)
            for name, content, *_ in model["files"]:
                if name == found[2]:
                    if not name.endswith(".gguf"):
                        return self.answer(200, content)
                    r.contents["/blob/" + digest_of(content)] = content
                    where = f"https://storage.test:{r.port}/blob/{digest_of(content)}?Signature=secret"
                    return self.redirect(where, headers=[("X-Linked-ETag", f'"{digest_of(content)}"'),
                                                         ("X-Linked-Size", str(size_of(content)))])
        return self.answer(404)

    def at_registry(self):
        r = self.server_registries
        if r.behave.get("token") and self.headers.get("Authorization") != f"Bearer {r.behave['token']}":
            return self.answer(401, b"{}", [("WWW-Authenticate", f'Bearer realm="{r.behave["realm"]}",'
                                                                 'service="registry",scope="repository:x:pull"')])
        found = re.fullmatch(r"/v2/([^/]+/[^/]+)/manifests/([^/]+)", self.path)
        if found:
            manifest = r.tags.get(f"{found[1]}:{found[2]}")
            return self.answer_json(manifest) if manifest else self.answer_json({"errors": []}, 404)
        found = re.fullmatch(r"/v2/[^/]+/[^/]+/blobs/sha256:([0-9a-f]{64})", self.path)
        if found and found[1] in r.blobs:
            r.contents["/blob/" + found[1]] = r.blobs[found[1]]
            return self.redirect(f"https://storage.test:{r.port}/blob/{found[1]}?X-Amz-Signature=secret", 307)
        return self.answer(404)

    def at_auth(self):
        r = self.server_registries
        return self.answer_json({"token": r.behave.get("token", "x")})

    def at_storage(self):
        r = self.server_registries
        content = r.contents.get(self.path.split("?")[0])
        if content is None:
            return self.answer(404)
        self.send_part(content, r.behave.get("etag", '"e1"'))

    def at_site(self):
        r = self.server_registries
        content = r.contents.get(self.path.split("?")[0])
        if content is None:
            return self.answer(404)
        self.send_part(content, r.behave.get("etag", '"e1"'))

    def send_part(self, content, etag):
        """A file or a part of it, as servers of files do; with what a test wants to go wrong."""
        r = self.server_registries
        size = size_of(content)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        same = self.headers.get("If-Range") in (None, etag)
        if not found or not same or r.behave.get("no_ranges"):
            self.send_response(200)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            return self.send_bytes(content, 0, size)
        first, last = int(found[1]), min(int(found[2]), size - 1)
        if first >= size:
            return self.answer(416, b"", [("Content-Range", f"bytes */{size}")])
        length = last + 1 - first
        self.send_response(206)
        self.send_header("ETag", etag)
        shift = r.behave.get("shift_range", 0) if length > 1 else 0
        self.send_header("Content-Range", f"bytes {first + shift}-{last + shift}/{size}")
        self.send_header("Content-Length", str(length + (r.behave.get("too_many", 0) if length > 1 else 0)))
        self.end_headers()
        drop = r.behave.get("drop_after") if length > 1 else None
        if drop is not None:
            self.send_bytes(content, first, min(length, drop))
            self.close_connection = True
            return None
        self.send_bytes(content, first, length)
        if length > 1 and r.behave.get("too_many"):
            self.wfile.write(b"x" * r.behave["too_many"])
        return None

    def send_bytes(self, content, first, length):
        r = self.server_registries
        step = r.behave.get("step", 256 << 10)
        with open(content, "rb") if isinstance(content, (str, os.PathLike)) else memoryview(content) as source:
            at = first
            while at < first + length:
                count = min(step, first + length - at)
                if hasattr(source, "read"):
                    source.seek(at)
                    piece = source.read(count)
                else:
                    piece = source[at:at + count]
                self.wfile.write(piece)
                with r.lock:
                    r.sent += count
                at += count
                if r.behave.get("pause_s"):
                    time.sleep(r.behave["pause_s"])


def size_of(content):
    return os.path.getsize(content) if isinstance(content, (str, os.PathLike)) else len(content)


_digests = {}


def digest_of(content):
    if isinstance(content, (str, os.PathLike)):
        if content not in _digests:
            hashing = hashlib.sha256()
            with open(content, "rb") as file:
                while piece := file.read(1 << 20):
                    hashing.update(piece)
            _digests[content] = hashing.hexdigest()
        return _digests[content]
    return hashlib.sha256(content).hexdigest()
