// The real laresd with fake workers, on a home of its own, and a door in front of it that serves the built page and hands everything
// else to its Unix socket, as the person. Pairing and the policy of answers are the door's own tests.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { POLICY } from "./fake.mjs";

export class House {
  constructor(bin, page) {
    this.bin = bin;
    this.files = new Map(readFileSync(join(page, "files.txt"), "utf8").trim().split("\n").map((line) => {
      const [path, type, , file] = line.split("\t");
      return [path, { type, bytes: readFileSync(join(page, file)) }];
    }));
    this.home = mkdtempSync(join(tmpdir(), "lares-page-"));
    for (const folder of ["share/models", "config"]) mkdirSync(join(this.home, folder), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.home, "share", "models", "fake.gguf"), "GGUF");
  }

  get socket() {
    return join(this.home, "run", "api.sock");
  }

  async start(...options) {
    this.daemon = spawn(join(this.bin, "laresd"), ["--port", "0", "--engine=fake", ...options], { env: { ...process.env, LARES_HOME: this.home }, stdio: "ignore" });
    for (let tries = 0; tries < 400; tries++) {
      if (existsSync(this.socket) && (await this.ask("GET", "/health").catch(() => null))) return this;
      if (this.daemon.exitCode !== null) throw new Error(`laresd ended with ${this.daemon.exitCode}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error("laresd does not answer");
  }

  async end(signal = "SIGTERM") {
    const over = new Promise((done) => this.daemon.on("exit", done));
    this.daemon.kill(signal);
    await over;
  }

  ask(method, path, body) {
    return new Promise((done, refused) => {
      const asked = request({ socketPath: this.socket, method, path, headers: { Host: "localhost", ...(body ? { "Content-Type": "application/json" } : {}) } }, (response) => {
        let text = "";
        response.on("data", (piece) => (text += piece));
        response.on("end", () => (response.statusCode === 200 ? done(JSON.parse(text)) : refused(new Error(`${method} ${path}: ${response.statusCode} ${text}`))));
      });
      asked.on("error", refused);
      asked.end(body ? JSON.stringify(body) : undefined);
    });
  }

  async open() {
    this.door = createServer((from, to) => {
      const file = this.files.get(from.url);
      if (file) return to.writeHead(200, { "Content-Type": file.type, "Content-Security-Policy": POLICY }).end(file.bytes);
      if (from.url === "/lares/v1/session") {
        if (this.daemon.exitCode !== null || this.daemon.signalCode !== null) return to.destroy();
        return to.writeHead(200, { "Content-Type": "application/json" }).end('{"principal":"owner","right":"owner","version":"test"}');
      }
      const headers = { Host: "localhost", ...(from.headers["content-type"] ? { "Content-Type": from.headers["content-type"] } : {}), ...(from.headers["content-length"] ? { "Content-Length": from.headers["content-length"] } : {}) };
      const asked = request({ socketPath: this.socket, method: from.method, path: from.url, headers }, (response) => {
        to.writeHead(response.statusCode, response.headers);
        response.on("data", (piece) => to.write(piece));
        response.on("end", () => to.end());
        response.on("error", () => to.destroy());
      });
      asked.on("error", () => to.destroy());
      to.on("close", () => asked.destroy());
      from.pipe(asked);
    });
    await new Promise((done) => this.door.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${this.door.address().port}`;
  }

  async remove() {
    if (this.daemon.exitCode === null && this.daemon.signalCode === null) await this.end();
    this.door?.closeAllConnections();
    this.door?.close();
    rmSync(this.home, { recursive: true, force: true });
  }
}
