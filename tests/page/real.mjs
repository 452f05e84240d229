// The real laresd on a home of its own, with fake workers or with those of a model file. The page comes from it, through its port, with a code that pairs the browser.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export class House {
  /** `model`: a GGUF file; without one workers are fake. */
  constructor(bin, model) {
    this.bin = bin;
    this.engine = model ? [] : ["--engine=fake"];
    this.port = 0; // the first start takes one that is free, and later ones the same
    this.home = mkdtempSync(join(tmpdir(), "lares-page-"));
    for (const folder of ["share/models", "config"]) mkdirSync(join(this.home, folder), { recursive: true, mode: 0o700 });
    const models = join(this.home, "share", "models");
    if (model) symlinkSync(model, join(models, basename(model)));
    else writeFileSync(join(models, "fake.gguf"), "GGUF");
  }

  get socket() {
    return join(this.home, "run", "api.sock");
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(...options) {
    this.daemon = spawn(join(this.bin, "laresd"), ["--port", String(this.port), ...this.engine, ...options], { env: { ...process.env, LARES_HOME: this.home }, stdio: "ignore" });
    for (let tries = 0; tries < 400; tries++) {
      const status = existsSync(this.socket) && (await this.ask("GET", "/lares/v1/status").catch(() => null));
      if (status) {
        if (!status.page) throw new Error(`${this.bin}/laresd was built without the page; tools/bootstrap page, then ./dev build`);
        this.port = Number(new URL(status.address).port);
        return this;
      }
      if (this.daemon.exitCode !== null) throw new Error(`laresd ended with ${this.daemon.exitCode}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error("laresd does not answer");
  }

  /** The path of the page with a code that is good once. */
  async path() {
    const { url } = await this.ask("POST", "/lares/v1/pair", {});
    return url.slice(url.indexOf("/", "http://".length));
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

  async remove() {
    if (this.daemon.exitCode === null && this.daemon.signalCode === null) await this.end();
    rmSync(this.home, { recursive: true, force: true });
  }
}
