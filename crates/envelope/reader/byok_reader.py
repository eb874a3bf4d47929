#!/usr/bin/env python3
"""Opens byokd ciphertexts without byokd: from FORMAT.md (clauses F-n) alone. Needs Python 3.9 and `cryptography`.
  byok_reader.py --export export.json (--vault-token-file TOKEN | --private-key PEM) IN OUT [--context KEY=VALUE ...]
The token: az account get-access-token --scope https://vault.azure.net/.default --query accessToken -o tsv
OUT may be - for standard output; then what was written counts only if the exit status is 0 (F-56).
"""
import argparse, base64, hashlib, hmac, http.client, io, json, os, socket, ssl, struct, sys, tempfile, urllib.parse
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEGMENT = 65536 + 16
VAULTS = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net")
PROTECTIONS = {"PLATFORM_KEY": 1, "CUSTOMER_KEY": 2}

class Refused(Exception):
    """Malformed, unsupported, or it does not open."""

def lp(x):  # F-2
    return struct.pack(">I", len(x)) + x

def derive(key, nonce):  # F-20 ... F-22: the message key and the commitment
    aes, xor = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update, lambda a, b: bytes(map(int.__xor__, a, b))
    value = int.from_bytes(aes(bytes(16)), "big") << 1
    k1 = ((value & (1 << 128) - 1) ^ (0x87 if value >> 128 else 0)).to_bytes(16, "big")
    chain = xor(aes(b"XCMT" + nonce[:12]), k1)
    halves = [aes(xor(bytes([0, i, 0x58, 0]) + nonce[:12], k1)) for i in (1, 2)]
    return b"".join(halves), b"".join(aes(xor(chain, nonce[12:] + bytes([0, 1, 0, i]))) for i in (1, 2))

def authenticated(header, bound):  # F-30
    workspace, app, protection, context = bound
    entries = sorted((k.encode(), v.encode()) for k, v in context.items())
    aad = lp(b"byokd/aad/v1") + header[:48] + lp(workspace.encode()) + lp(app.encode())
    return aad + bytes([protection, len(entries)]) + b"".join(lp(k) + lp(v) for k, v in entries)

def parse(header):  # F-10, F-11
    if len(header) < 80 or header[:4] != b"BYOK":
        raise Refused("malformed")
    if header[4] != 1 or header[5] != 1:
        raise Refused("version unsupported")
    if header[6:8] not in (b"\1\0", b"\2\x10") or (header[6] == 2 and header[43:48] != b"\0\0\0\0\2"):
        raise Refused("malformed")
    return header[6]

def gcm(key, nonce, sealed, aad):
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused("open failed") from None

def open_ciphertext(source, write, key, bound, header):
    """Reads what follows the header from `source`, gives plaintext to `write` in pieces; raises Refused."""
    kind = parse(header)
    message_key, commitment = derive(key, header[24:48])
    if not hmac.compare_digest(commitment, header[48:80]):  # F-24, before GCM
        raise Refused("open failed")
    aad = authenticated(header, bound)
    if kind == 1:  # F-40
        write(gcm(message_key, header[36:48], source.read(), aad))
        return
    gcm(message_key, header[36:48], source.read(16), aad)  # F-51
    aad, r, number = hashlib.sha256(aad).digest(), header[36:43], 0
    segment = source.read(SEGMENT)
    while True:  # F-52 ... F-55
        following = source.read(SEGMENT) if len(segment) == SEGMENT else b""
        plaintext = gcm(message_key, r + struct.pack(">IB", number, not following), segment, aad)
        if number >= 1 << 24 or (not plaintext and number > 0):
            raise Refused("open failed")
        write(plaintext)
        if not following:
            return
        segment, number = following, number + 1

def data_key(payload, workspace, app, protection, key_id):  # F-60, F-62
    identity = lp(b"byokd/id/v1") + lp(workspace.encode()) + lp(app.encode()) + key_id + bytes([protection])
    expected = b"\1" + hashlib.sha256(identity).digest()
    if len(payload) != 65 or not hmac.compare_digest(payload[:1] + payload[33:], expected):
        raise Refused("not this data key")
    return payload[1:33]

def unwrap_by_private_key(entry, options):  # F-61
    with open(options.private_key, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    try:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        return key.decrypt(base64.b64decode(entry["blob"]), oaep)
    except ValueError:
        raise Refused("this private key does not unwrap it") from None

def unwrap_by_vault(entry, options):  # F-72
    url = urllib.parse.urlsplit(entry["kid"])
    if url.scheme != "https" or not (url.hostname or "").endswith(VAULTS) or url.port not in (None, 443):
        raise Refused(f"{entry['kid']} is not a key in an Azure vault; the token is not sent there")
    with open(options.vault_token_file) as file:
        token = file.read().strip()
    connection = http.client.HTTPSConnection(url.hostname, timeout=30)
    address = options.connect.rsplit(":", 1) if options.connect else (url.hostname, 443)
    raw = socket.create_connection((address[0], int(address[1])), 30)
    connection.sock = ssl.create_default_context(cafile=options.ca).wrap_socket(raw, server_hostname=url.hostname)
    value = base64.urlsafe_b64encode(base64.b64decode(entry["blob"])).rstrip(b"=")
    question = json.dumps({"alg": entry["algorithm"], "value": value.decode()})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", f"{url.path}/unwrapkey?api-version=7.6", question, headers)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise Refused(f"the vault answered {response.status}: {body.decode(errors='replace')[:500]}")
    answer = json.loads(body)
    if answer["kid"] != entry["kid"]:
        raise Refused("the vault answered for another key version")
    return base64.urlsafe_b64decode(answer["value"] + "==")

def open_file(source_path, out_path, options):
    with open(options.export, encoding="utf-8") as file:
        export = json.load(file)
    with open(source_path, "rb") as source:
        header = source.read(80)
        parse(header)
        entry = next((e for e in export["wrapped_keys"] if bytes.fromhex(e["data_key_id"]) == header[8:24]), None)
        if export["format"] != "byokd/export/v1" or not entry or entry["algorithm"] != "RSA-OAEP-256":
            raise Refused(f"the export does not have data key {header[8:24].hex()}, wrapped with RSA-OAEP-256")
        context = dict(pair.split("=", 1) for pair in options.context)
        bound = entry["workspace_id"], entry["app_id"], PROTECTIONS[entry["protection"]], context
        unwrap = unwrap_by_private_key if options.private_key else unwrap_by_vault
        key = data_key(unwrap(entry, options), *bound[:3], header[8:24])
        if out_path == "-":
            return open_ciphertext(source, sys.stdout.buffer.write, key, bound, header)
        # Written aside and renamed: a file appears only when it is whole (F-56).
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.abspath(out_path)), delete=False) as out:
            try:
                open_ciphertext(source, out.write, key, bound, header)
                out.flush()
                os.replace(out.name, out_path)
            except BaseException:
                os.unlink(out.name)
                raise

def check_vectors(directory):
    """Opens every vector, and checks that those to be refused are refused with the fault that shows."""
    cases = {}
    for name in ("messages", "batches", "streams", "refused", "payloads", "payloads-refused"):
        with open(os.path.join(directory, name + "-v1.json"), encoding="utf-8") as file:
            cases[name] = json.load(file)["cases"]
    streams = {c["name"]: bytes.fromhex(c["ciphertext"]) for c in cases["streams"]}

    def opened(c, ciphertext):
        source, out = io.BytesIO(ciphertext), io.BytesIO()
        bound = (c["workspace"], c["app"], c["protection"], c["context"])
        open_ciphertext(source, out.write, bytes.fromhex(c["data_key"]), bound, source.read(80))
        return out.getvalue()

    def unwrapped(c, payload):
        return data_key(payload, c["workspace"], c["app"], c["protection"], bytes.fromhex(c["data_key_id"]))

    def outcome(run, c, given):
        try:
            return run(c, given)
        except Refused as refusal:
            return str(refusal)

    def part(p):
        return bytes.fromhex(p["hex"]) if "hex" in p else streams[p["stream"]][p["from"]:p["to"]]

    items = [{**batch, **item} for batch in cases["batches"] for item in batch["items"]]
    fromhex = bytes.fromhex
    checks = [(c, opened, fromhex(c["ciphertext"]), fromhex(c["plaintext"])) for c in cases["messages"] + items]
    checks += [(c, opened, streams[c["name"]], bytes(i % 251 for i in range(c["plaintext_length"])))
               for c in cases["streams"]]
    checks += [(c, opened, b"".join(map(part, c["ciphertext"])), c["fault"].lower().replace("_", " "))
               for c in cases["refused"]]
    checks += [(c, unwrapped, fromhex(c["payload"]), fromhex(c["data_key"])) for c in cases["payloads"]]
    checks += [(c, unwrapped, fromhex(c["payload"]), "not this data key") for c in cases["payloads-refused"]]
    wrong = [c["name"] for c, run, given, expected in checks if outcome(run, c, given) != expected]
    print(f"{len(checks) - len(wrong)} of {len(checks)} vectors agree", *wrong, sep="\nwrong: ", file=sys.stderr)
    return not wrong

def main():
    parser = argparse.ArgumentParser(description="Opens byokd ciphertexts without byokd.")
    parser.add_argument("files", nargs="*", metavar="IN OUT")
    parser.add_argument("--context", action="append", default=[], metavar="KEY=VALUE", help="as given when sealing")
    parser.add_argument("--export", metavar="FILE", help="what byokctl key export --output json wrote")
    parser.add_argument("--private-key", metavar="PEM", help="the customer's RSA key itself")
    parser.add_argument("--vault-token-file", metavar="FILE", help="an access token for the customer's vault")
    parser.add_argument("--ca", metavar="FILE", help="trust these certificates instead of the system's")
    parser.add_argument("--connect", metavar="HOST:PORT", help="reach the vault here; it must still prove its name")
    parser.add_argument("--vectors", metavar="DIR", help="check this reader against the vectors")
    options = parser.parse_args()
    if options.vectors:
        return not check_vectors(options.vectors)
    if len(options.files) != 2 or not options.export or not (options.private_key or options.vault_token_file):
        parser.error("needs IN, OUT, --export and one of --private-key and --vault-token-file")
    try:
        return open_file(*options.files, options)
    except (Refused, OSError, KeyError, ValueError, http.client.HTTPException) as error:
        return f"error: {error}"

if __name__ == "__main__":
    sys.exit(main())
