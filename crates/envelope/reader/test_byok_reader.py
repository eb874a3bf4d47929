#!/usr/bin/env python3
"""Checks byok_reader.py: the vectors, a customer's own RSA key, and a vault over TLS that this file plays."""
import base64
import datetime
import hashlib
import http.server
import json
import os
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

HERE = os.path.dirname(os.path.abspath(__file__))
READER = os.path.join(HERE, "byok_reader.py")
VECTORS = os.path.join(HERE, "..", "vectors")
VAULT = "customer.vault.azure.net"
KID = f"https://{VAULT}/keys/byok/0123456789abcdef0123456789abcdef"
TOKEN = "token-for-the-vault"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def vector(file, name):
    with open(os.path.join(VECTORS, file), encoding="utf-8") as opened:
        return next(case for case in json.load(opened)["cases"] if case["name"] == name)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Vault(http.server.BaseHTTPRequestHandler):
    """Unwraps with a key made at the start, for whoever shows the token; notes what it was asked."""

    key, asked, answer_kid, status = None, [], KID, 200

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.headers["Host"], self.path, body["alg"]))
        authorised = self.headers["Authorization"] == f"Bearer {TOKEN}"
        status = self.status if authorised else 401
        blob = base64.urlsafe_b64decode(body["value"] + "==")
        value = base64.urlsafe_b64encode(self.key.decrypt(blob, OAEP)).rstrip(b"=").decode()
        answer = {"kid": self.answer_kid, "value": value} if status == 200 else {"error": {"code": "Forbidden"}}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


class Reader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.key = rsa.generate_private_key(65537, 2048)
        cls.write("key.pem", cls.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        cls.write("token", TOKEN.encode() + b"\n")
        cls.serve()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()
        cls.directory.cleanup()

    @classmethod
    def serve(cls):
        tls = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, VAULT)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(tls.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(VAULT)]), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(tls, hashes.SHA256()))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        cls.write("ca.pem", pem)
        cls.write("server.pem", pem + tls.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cls.path("server.pem"))
        Vault.key = cls.key
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vault)
        cls.server.socket = context.wrap_socket(cls.server.socket, server_side=True)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    def setUp(self):
        Vault.asked.clear()
        Vault.answer_kid, Vault.status = KID, 200
        if os.path.exists(self.path("out")):
            os.unlink(self.path("out"))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory.name, name)

    @classmethod
    def write(cls, name, content):
        with open(cls.path(name), "wb") as file:
            file.write(content)

    def export(self, case, **changed):
        """An export with the vector's data key, wrapped by the customer's key."""
        identity = b"".join(struct.pack(">I", len(part)) + part for part in (
            b"byokd/id/v1", case["workspace"].encode(), case["app"].encode()))
        identity += bytes.fromhex(case["data_key_id"]) + bytes([case["protection"]])
        payload = b"\1" + bytes.fromhex(case["data_key"]) + hashlib.sha256(identity).digest()
        blob = base64.b64encode(self.key.public_key().encrypt(payload, OAEP)).decode()
        entry = {"data_key_id": case["data_key_id"], "workspace_id": case["workspace"], "app_id": case["app"],
                 "protection": "CUSTOMER_KEY", "kid": KID, "algorithm": "RSA-OAEP-256", "blob": blob,
                 "create_time": "2027-03-01T09:00:00Z"}
        export = {"format": "byokd/export/v1", "wrapped_keys": [{**entry, **changed}]}
        self.write("export.json", json.dumps(export).encode())
        self.write("in", bytes.fromhex(case["ciphertext"]))

    def run_reader(self, *arguments, out=None):
        return subprocess.run(
            [sys.executable, "-B", READER, "--export", self.path("export.json"), *arguments,
             self.path("in"), out or self.path("out")], capture_output=True, check=False)

    def by_private_key(self, *arguments, **more):
        return self.run_reader("--private-key", self.path("key.pem"), *arguments, **more)

    def by_vault(self, *arguments):
        connect = f"127.0.0.1:{self.server.server_address[1]}"
        return self.run_reader("--vault-token-file", self.path("token"), "--ca", self.path("ca.pem"),
                               "--connect", connect, *arguments)

    def assert_refused(self, result, text=b""):
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertTrue(result.stderr.startswith(b"error: ") and text in result.stderr, result.stderr)
        self.assertEqual([name for name in os.listdir(self.directory.name) if name.startswith(("out", "tmp"))], [])

    def test_every_vector_agrees(self):
        result = subprocess.run([sys.executable, "-B", READER, "--vectors", VECTORS], capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_changed_vector_is_noticed(self):
        for name in os.listdir(VECTORS):
            with open(os.path.join(VECTORS, name), encoding="utf-8") as file:
                text = file.read()
            if name == "messages-v1.json":
                changed = vector(name, "short plaintext, customer key")["plaintext"]
                text = text.replace(changed, "00" + changed[2:])
            self.write(name, text.encode())
        result = subprocess.run([sys.executable, "-B", READER, "--vectors", self.directory.name],
                                capture_output=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"wrong: short plaintext, customer key", result.stderr)

    def test_a_message_opens_with_the_customers_private_key(self):
        case = vector("messages-v1.json", "short plaintext, customer key")
        self.export(case)
        self.assertEqual(self.by_private_key().returncode, 0)
        self.assertEqual(read(self.path("out")), bytes.fromhex(case["plaintext"]))
        self.assertEqual(self.by_private_key(out="-").stdout, bytes.fromhex(case["plaintext"]))

    def test_a_context_must_be_given_again(self):
        case = vector("messages-v1.json", "a context, sorted by raw bytes")
        self.export(case)
        context = [word for key, value in case["context"].items() for word in ("--context", f"{key}={value}")]
        self.assertEqual(self.by_private_key(*context).returncode, 0)
        os.unlink(self.path("out"))
        self.assert_refused(self.by_private_key(*context[2:]), b"open failed")

    def test_a_stream_opens_through_the_vault_and_only_that_key_version_is_asked(self):
        case = vector("streams-v1.json", "three segments")
        self.export(case)
        result = self.by_vault("--context", "file=report.pdf")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(read(self.path("out")), bytes(i % 251 for i in range(case["plaintext_length"])))
        path = KID[len(f"https://{VAULT}"):] + "/unwrapkey?api-version=7.6"
        self.assertEqual(Vault.asked, [(VAULT, path, "RSA-OAEP-256")])

    def test_a_cut_stream_leaves_no_file(self):
        case = vector("streams-v1.json", "three segments")
        self.export({**case, "ciphertext": case["ciphertext"][:2 * (96 + 65552)]})
        self.assert_refused(self.by_private_key("--context", "file=report.pdf"), b"open failed")

    def test_the_vaults_refusal_is_shown(self):
        self.export(vector("messages-v1.json", "one block"))
        Vault.status = 403
        self.assert_refused(self.by_vault(), b"the vault answered 403")

    def test_an_answer_for_another_key_version_is_refused(self):
        self.export(vector("messages-v1.json", "one block"))
        Vault.answer_kid = KID[:-1] + "0"
        self.assert_refused(self.by_vault(), b"another key version")

    def test_the_token_goes_to_azure_vaults_only(self):
        for kid in ("https://vault.attacker.example/keys/k/v", f"http://{VAULT}/keys/k/v",
                    f"https://{VAULT}:8443/keys/k/v", f"https://{VAULT}@attacker.example/keys/k/v",
                    "https://x.vault.azure.net.attacker.example/keys/k/v"):
            self.export(vector("messages-v1.json", "one block"), kid=kid)
            self.assert_refused(self.by_vault(), b"the token is not sent there")
        self.assertEqual(Vault.asked, [])

    def test_a_vault_that_cannot_prove_its_name_gets_no_token(self):
        self.export(vector("messages-v1.json", "one block"), kid=KID.replace("customer", "other"))
        self.assert_refused(self.by_vault(), b"CERTIFICATE_VERIFY_FAILED")
        self.assertEqual(Vault.asked, [])

    def test_a_wrapped_key_of_another_app_is_refused(self):
        case = vector("messages-v1.json", "one block")
        self.export(case, app_id="another-bot")
        self.assert_refused(self.by_private_key(), b"not this data key")
        self.export(case, protection="PLATFORM_KEY")
        self.assert_refused(self.by_private_key(), b"not this data key")

    def test_an_export_without_the_key_or_of_another_kind_is_refused(self):
        case = vector("messages-v1.json", "one block")
        for changed in ({"data_key_id": "00" * 16}, {"algorithm": "RSA1_5"}):
            self.export(case, **changed)
            self.assert_refused(self.by_private_key(), b"the export does not have data key")


if __name__ == "__main__":
    unittest.main()
