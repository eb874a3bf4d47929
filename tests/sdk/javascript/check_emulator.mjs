#!/usr/bin/env node
// Does the official Azure SDK for JavaScript work against the emulator?
//
// Prints one line per check and exits 1 when one failed, 2 when it could not run.
//
//     node check_emulator.mjs --emulator-binary target/debug/azure-emulator
//     node check_emulator.mjs --emulator-json '{…what the emulator printed…}'
//     node check_emulator.mjs --emulator-binary … --fault '{"answer": "wrong_plaintext"}'   # must fail: the checks can
//
// The vault and login hosts keep their real names; only the connection is led to the emulator, and no other host is
// reached. Challenge verification stays on.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import crypto from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import tls from "node:tls";
import { parseArgs } from "node:util";

import { ClientAssertionCredential, ClientCertificateCredential, ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

const ADMIN = "admin.emulator.internal";
const DATA_KEY = Buffer.from(Array.from({ length: 65 }, (_, i) => i));

/** Leads connections for the real names to the emulator, with its authority trusted, and refuses every other. */
function routeTo(address, ca) {
  const [host, port] = address.split(":");
  const connect = tls.connect.bind(tls);
  const ours = (name) => name.endsWith(".vault.azure.net") || name === "login.microsoftonline.com" || name === ADMIN;
  tls.connect = (options, ...rest) => {
    const name = options.servername ?? options.host;
    if (!ours(name)) throw new Error(`${name} is not the emulator's`);
    return connect({ ...options, host, port: Number(port), servername: name, ca }, ...rest);
  };
}

/** The emulator's own administration. */
function admin(method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const request = https.request({ host: ADMIN, method, path, headers }, (response) => {
      let answer = "";
      response.on("data", (part) => (answer += part));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(answer));
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
      });
    });
    request.on("error", reject);
    request.end(text);
  });
}

const switchOn = async (fault, scope) => (await admin("POST", "/faults", { fault, scope })).id;

/** The call must fail with this status, and with this inner code as the SDK parses it. */
async function refused(status, inner, call) {
  const error = await call().then(() => assert.fail("was not refused"), (error) => error);
  if (error instanceof assert.AssertionError) throw error;
  assert.equal(error.statusCode, status, error.message);
  assert.equal(error.details?.error?.innerError?.code, inner);
  return error.code;
}

/** Signing in must fail with this number. */
async function notSignedIn(number, credential) {
  const error = await credential.getToken("https://vault.azure.net/.default").then(() => undefined, (error) => error);
  assert.ok(error, "was not refused");
  assert.match(`${error.message} ${JSON.stringify(error.errorResponse ?? {})}`, new RegExp(`AADSTS${number}`));
}

function signJwt(key, header, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${crypto.sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

async function collect(iterator) {
  const all = [];
  for await (const one of iterator) all.push(one);
  return all;
}

function checks(made, folder) {
  const { tenant_id: tenant, client_id: clientId, vault } = made;
  const vaultHost = new URL(vault).host;
  const wire = { retryOptions: { maxRetries: 0 } };
  const secret = new ClientSecretCredential(tenant, clientId, made.client_secret, wire);
  const keys = (credential = secret, options = {}) => new KeyClient(vault, credential, { ...wire, ...options });
  const client = keys();
  // Only with an id does every operation go to the vault: with the public key in hand the SDK wraps by itself.
  const using = (key) => new CryptographyClient(key.id, secret, wire);
  const issued = async () => {
    const certificate = await admin("POST", `/apps/${clientId}/certificates/issue`, {});
    const path = join(folder, `${crypto.randomUUID()}.pem`);
    writeFileSync(path, certificate.key_pem + certificate.certificate_pem, { mode: 0o600 });
    return { path, x5t: certificate.info.x5t_s256 };
  };

  return {
    async "by secret"() {
      const created = await client.createRsaKey("javascript", { keySize: 2048 });
      assert.ok(created.id.startsWith(`${vault}/keys/javascript/`), created.id);
      assert.equal(created.keyType, "RSA");
      assert.equal(created.key.n.length, 256);
    },
    async "by certificate"() {
      const { path } = await issued();
      const credential = new ClientCertificateCredential(tenant, clientId, { certificatePath: path }, wire);
      assert.equal((await keys(credential).getKey("javascript")).name, "javascript");
    },
    async "by revoked certificate"() {
      const { path, x5t } = await issued();
      await admin("POST", `/apps/${clientId}/certificates/${x5t}/revoke`);
      await notSignedIn(7000214, new ClientCertificateCredential(tenant, clientId, { certificatePath: path }, wire));
    },
    async "by federated assertion"() {
      const issuer = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
      const jwks = { keys: [{ ...issuer.publicKey.export({ format: "jwk" }), kid: "f1" }] };
      const trusted = { issuer: "https://issuer.example", subject: "js", audience: "api://AzureADTokenExchange" };
      await admin("POST", `/apps/${clientId}/federated`, { ...trusted, jwks });
      const assertion = (sub) => async () => {
        const claims = { iss: trusted.issuer, sub, aud: trusted.audience, exp: Math.floor(Date.now() / 1000) + 300 };
        return signJwt(issuer.privateKey, { alg: "RS256", typ: "JWT", kid: "f1" }, claims);
      };
      const good = new ClientAssertionCredential(tenant, clientId, assertion("js"), wire);
      assert.equal((await keys(good).getKey("javascript")).name, "javascript");
      await notSignedIn(700213, new ClientAssertionCredential(tenant, clientId, assertion("somebody"), wire));
    },
    async "wrong secret"() {
      await notSignedIn(7000215, new ClientSecretCredential(tenant, clientId, "not the secret", wire));
    },
    async "each api version"() {
      for (const serviceVersion of ["7.5", "7.6", "2025-07-01"]) {
        assert.equal((await keys(secret, { serviceVersion }).getKey("javascript")).name, "javascript", serviceVersion);
      }
      await refused(400, undefined, () => keys(secret, { serviceVersion: "7.0" }).getKey("javascript"));
    },
    async listing() {
      for (let i = 0; i < 4; i++) await client.rotateKey("javascript");
      const pages = await collect(client.listPropertiesOfKeyVersions("javascript").byPage({ maxPageSize: 2 }));
      assert.equal(pages.length, 3);
      assert.equal(new Set(pages.flat().map((v) => v.version)).size, 5);
      for (let i = 0; i < 3; i++) await client.createRsaKey(`js-${i}`, { keySize: 2048 });
      const names = (await collect(client.listPropertiesOfKeys())).map((k) => k.name);
      for (const name of ["javascript", "js-0", "js-1", "js-2"]) assert.ok(names.includes(name), name);
    },
    async updating() {
      const notBefore = new Date("2020-01-01T00:00:00Z");
      const expiresOn = new Date("2021-02-03T00:00:00Z");
      const change = { tags: { "byok-enrol": "nonce" }, notBefore, expiresOn, keyOps: ["unwrapKey"] };
      const updated = await client.updateKeyProperties("js-0", change);
      const again = await client.getKey("js-0", { version: updated.properties.version });
      assert.deepEqual(again.properties.tags, { "byok-enrol": "nonce" });
      assert.deepEqual([again.properties.notBefore, again.properties.expiresOn], [notBefore, expiresOn]);
      assert.deepEqual(again.keyOperations, ["unwrapKey"]);
      assert.equal(again.properties.recoveryLevel, "Recoverable+Purgeable");
    },
    async policy() {
      const actions = [{ action: "Rotate", timeAfterCreate: "P60D" }];
      await client.updateKeyRotationPolicy("javascript", { lifetimeActions: actions, expiresIn: "P90D" });
      const got = await client.getKeyRotationPolicy("javascript");
      assert.equal(got.expiresIn, "P90D");
      assert.equal(got.lifetimeActions.find((a) => a.action === "Rotate")?.timeAfterCreate, "P60D");
    },
    async "wrap and unwrap"() {
      for (const keySize of [2048, 3072, 4096]) {
        const key = await client.createRsaKey(`js-size-${keySize}`, { keySize });
        const wrapped = await using(key).wrapKey("RSA-OAEP-256", DATA_KEY);
        assert.equal(wrapped.keyID, key.id);
        assert.equal(wrapped.result.length * 8, keySize);
        const opened = await using(key).unwrapKey("RSA-OAEP-256", wrapped.result);
        assert.deepEqual(Buffer.from(opened.result), DATA_KEY);
      }
    },
    async "wrapped locally"() {
      const key = await client.getKey("js-size-3072");
      const jwk = { kty: "RSA", n: Buffer.from(key.key.n).toString("base64url"), e: Buffer.from(key.key.e).toString("base64url") };
      const wrapped = crypto.publicEncrypt(
        { key: crypto.createPublicKey({ key: jwk, format: "jwk" }), oaepHash: "sha256" }, DATA_KEY);
      const opened = await using(key).unwrapKey("RSA-OAEP-256", wrapped);
      assert.deepEqual(Buffer.from(opened.result), DATA_KEY);
    },
    async "encrypt and decrypt"() {
      const key = using(await client.getKey("js-size-2048"));
      for (const algorithm of ["RSA-OAEP-256", "RSA-OAEP", "RSA1_5"]) {
        const sealed = await key.encrypt({ algorithm, plaintext: Buffer.from("text") });
        const opened = await key.decrypt({ algorithm, ciphertext: sealed.result });
        assert.equal(Buffer.from(opened.result).toString(), "text", algorithm);
      }
    },
    async "unwrap by version"() {
      const old = await client.getKey("javascript");
      const wrapped = (await using(old).wrapKey("RSA-OAEP-256", DATA_KEY)).result;
      const fresh = await client.rotateKey("javascript");
      await refused(400, undefined, () => using(fresh).unwrapKey("RSA-OAEP-256", wrapped));
      assert.deepEqual(Buffer.from((await using(old).unwrapKey("RSA-OAEP-256", wrapped)).result), DATA_KEY);
    },
    async disabled() {
      const key = await client.createRsaKey("js-switch", { keySize: 2048 });
      const wrapped = (await using(key).wrapKey("RSA-OAEP-256", DATA_KEY)).result;
      await client.updateKeyProperties("js-switch", { enabled: false });
      await refused(403, "KeyDisabled", () => using(key).unwrapKey("RSA-OAEP-256", wrapped));
      await client.updateKeyProperties("js-switch", { enabled: true });
      assert.deepEqual(Buffer.from((await using(key).unwrapKey("RSA-OAEP-256", wrapped)).result), DATA_KEY);
    },
    async "forbidden operation"() {
      const key = await client.createRsaKey("js-ops", { keySize: 2048 });
      const user = using(key);
      const wrapped = (await user.wrapKey("RSA-OAEP-256", DATA_KEY)).result;
      // The SDK judges by the key_ops it saw first; the vault by those of now.
      await client.updateKeyProperties("js-ops", { keyOps: ["wrapKey"] });
      const code = await refused(403, "KeyOperationForbidden", () => user.unwrapKey("RSA-OAEP-256", wrapped));
      assert.equal(code, "Forbidden");
    },
    async "no role"() {
      const role = { principal: made.principal, role: "crypto_officer" };
      await admin("DELETE", `/vaults/${vaultHost}/roles`, role);
      try {
        await refused(403, "ForbiddenByRbac", () => keys().getKey("javascript"));
      } finally {
        await admin("POST", `/vaults/${vaultHost}/roles`, role);
      }
    },
    async deleted() {
      await client.createRsaKey("js-gone", { keySize: 2048 });
      const poller = await client.beginDeleteKey("js-gone", { intervalInMs: 50 });
      assert.ok((await poller.pollUntilDone()).properties.recoveryId.endsWith("/deletedkeys/js-gone"));
      await refused(404, undefined, () => client.getKey("js-gone"));
      await refused(409, "ObjectIsDeletedButRecoverable", () => client.createRsaKey("js-gone", { keySize: 2048 }));
      await (await client.beginRecoverDeletedKey("js-gone", { intervalInMs: 50 })).pollUntilDone();
      assert.equal((await client.getKey("js-gone")).name, "js-gone");
      await (await client.beginDeleteKey("js-gone", { intervalInMs: 50 })).pollUntilDone();
      await client.purgeDeletedKey("js-gone");
      await refused(404, undefined, () => client.getDeletedKey("js-gone"));
    },
    async throttled() {
      await switchOn({ vault: "throttled" }, { host: vaultHost, operation: "get_key", times: 1 });
      const code = await refused(429, undefined, () => client.getKey("javascript"));
      assert.equal(code, "Throttled");
    },
    // The check that a challenge names the vault's own domain is on.
    async "foreign challenge"() {
      const number = await switchOn({ answer: "challenge_resource" }, { host: vaultHost });
      try {
        const fresh = new ClientSecretCredential(tenant, clientId, made.client_secret, wire);
        await assert.rejects(keys(fresh).getKey("javascript"), /does not match the requested domain/);
      } finally {
        await admin("DELETE", `/faults/${number}`);
      }
    },
  };
}

async function start(binary) {
  const child = spawn(binary, ["--listen", "127.0.0.1:0", "--output", "json"], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    child.once("error", reject);
    child.once("exit", () => reject(new Error("the emulator did not start")));
  });
  return { child, line };
}

async function main() {
  const { values } = parseArgs({
    options: {
      "emulator-binary": { type: "string" },
      "emulator-json": { type: "string" },
      fault: { type: "string" },
    },
  });
  const given = values["emulator-binary"] ? await start(values["emulator-binary"]) : { line: values["emulator-json"] };
  if (!given.line) throw new Error("give --emulator-binary PATH or --emulator-json JSON");
  const folder = mkdtempSync(join(tmpdir(), "check-emulator-"));
  let passed = 0;
  let failed = 0;
  try {
    const made = JSON.parse(given.line);
    routeTo(made.address, made.ca_pem);
    if (values.fault) await switchOn(JSON.parse(values.fault), { host: new URL(made.vault).host });
    for (const [name, check] of Object.entries(checks(made, folder))) {
      try {
        await check();
        passed += 1;
        console.log(`ok   ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAIL ${name}: ${error.name}: ${String(error.message).split("\n")[0]}`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
    given.child?.kill("SIGTERM");
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(`error: ${error.message}`);
    process.exit(2);
  },
);
