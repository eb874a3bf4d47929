#!/usr/bin/env python3
"""Does the official Azure SDK for Python work against the emulator?

Prints one line per check and exits 1 when one failed, 2 when it could not run.

    check_emulator.py --emulator-binary target/debug/azure-emulator
    check_emulator.py --emulator-json "$(cat what-the-emulator-printed.json)"
    check_emulator.py --emulator-binary … --fault '{"answer": "wrong_plaintext"}'   # must fail: the checks can

The vault and login hosts keep their real names; only the resolver is told where they are, and nothing else resolves.
Challenge verification stays on.
"""

import argparse
import datetime
import json
import logging
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import CertificateCredential, ClientAssertionCredential, ClientSecretCredential
from azure.keyvault.keys import (
    ApiVersion,
    KeyClient,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ADMIN = "https://admin.emulator.internal"
SUFFIXES = (".vault.azure.net", "login.microsoftonline.com", "admin.emulator.internal")
DATA_KEY = bytes(range(65))
SHA256 = hashes.SHA256()
OAEP_256 = padding.OAEP(mgf=padding.MGF1(SHA256), algorithm=SHA256, label=None)


def route_to(address):
    """Makes the real names mean the emulator, port included, and every other name unknown."""
    host, port = address.rsplit(":", 1)

    def getaddrinfo(name, *_args, **_kwargs):
        text = name.decode() if isinstance(name, bytes) else name
        if text and text.lower().endswith(SUFFIXES):
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, int(port)))]
        raise socket.gaierror(socket.EAI_NONAME, f"{text} is not the emulator's")

    socket.getaddrinfo = getaddrinfo


class Admin:
    """The emulator's own administration."""

    def __init__(self, ca_file):
        self.context = ssl.create_default_context(cafile=ca_file)

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(ADMIN + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=self.context, timeout=30) as response:
            return json.load(response)

    def fault(self, fault, **scope):
        return self("POST", "/faults", {"fault": fault, "scope": scope})["id"]


class Suite:
    """Runs checks and remembers what failed."""

    def __init__(self):
        self.failed = []
        self.passed = 0

    def check(self, name, body):
        try:
            body()
        except Exception as error:  # A check may fail in any way; it is told, and the next one runs.
            self.failed.append(name)
            print(f"FAIL {name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        else:
            self.passed += 1
            print(f"ok   {name}")


def refused(status, inner, call, kind=HttpResponseError):
    """The call must fail with this status, and with this inner code as the SDK parses it."""
    try:
        call()
    except kind as error:
        assert error.status_code == status, f"status {error.status_code}, not {status}"
        found = getattr(error.error, "innererror", None) or {}
        code = found.get("code") if isinstance(found, dict) else getattr(found, "code", None)
        assert code == inner, f"inner code {code}, not {inner}"
        return error
    raise AssertionError("was not refused")


def sign_jwt(key, header, claims):
    import base64

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(key.sign(signed, padding.PKCS1v15(), SHA256))).decode()


def self_signed(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sdk check")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(days=2)).sign(key, SHA256)


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def run(made, ca_file, suite, fault):
    admin = Admin(ca_file)
    tenant, client_id, vault_url = made["tenant_id"], made["client_id"], made["vault"]
    vault_host = vault_url.removeprefix("https://")
    wire = {"connection_verify": ca_file, "retry_total": 0}
    # Instance discovery asks a host list of the public cloud; the emulator answers it too.
    secret = ClientSecretCredential(tenant, client_id, made["client_secret"], **wire)

    def keys(credential=secret, **options):
        return KeyClient(vault_url, credential, **wire, **options)

    client = keys()
    if fault is not None:
        admin.fault(fault, host=vault_host)

    def crypto(key):
        # Only with an id does every operation go to the vault: with the public key in hand the SDK wraps by itself.
        return CryptographyClient(key if isinstance(key, str) else key.id, secret, **wire)

    # -- signing in ----------------------------------------------------------------------------------------------

    def by_secret():
        created = client.create_rsa_key("python", size=2048)
        assert created.id.startswith(f"{vault_url}/keys/python/"), created.id
        assert created.key.kty == "RSA" and len(created.key.n) == 256

    def by_certificate():
        key = rsa.generate_private_key(65537, 2048)
        certificate = self_signed(key).public_bytes(serialization.Encoding.PEM)
        admin("POST", f"/apps/{client_id}/certificates", {"pem": certificate.decode()})
        credential = CertificateCredential(tenant, client_id, certificate_data=pem_of(key) + certificate, **wire)
        assert keys(credential).get_key("python").name == "python"

    def by_unknown_certificate():
        key = rsa.generate_private_key(65537, 2048)
        certificate = self_signed(key).public_bytes(serialization.Encoding.PEM)
        credential = CertificateCredential(tenant, client_id, certificate_data=pem_of(key) + certificate, **wire)
        try:
            credential.get_token("https://vault.azure.net/.default")
        except ClientAuthenticationError as error:
            assert "AADSTS700027" in str(error), error
        else:
            raise AssertionError("was not refused")

    def by_federated_assertion():
        issuer = rsa.generate_private_key(65537, 2048)
        numbers = issuer.public_key().public_numbers()

        def number(value):
            import base64

            raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

        jwks = {"keys": [{"kty": "RSA", "kid": "f1", "n": number(numbers.n), "e": number(numbers.e)}]}
        trusted = {"issuer": "https://issuer.example", "subject": "check", "audience": "api://AzureADTokenExchange"}
        admin("POST", f"/apps/{client_id}/federated", {**trusted, "jwks": jwks})

        def assertion(subject):
            claims = {
                "iss": trusted["issuer"],
                "sub": subject,
                "aud": trusted["audience"],
                "exp": int(time.time()) + 300,
            }
            return lambda: sign_jwt(issuer, {"alg": "RS256", "typ": "JWT", "kid": "f1"}, claims)

        good = ClientAssertionCredential(tenant, client_id, assertion("check"), **wire)
        assert keys(good).get_key("python").name == "python"
        bad = ClientAssertionCredential(tenant, client_id, assertion("somebody"), **wire)
        try:
            bad.get_token("https://vault.azure.net/.default")
        except ClientAuthenticationError as error:
            assert "AADSTS700213" in str(error), error
        else:
            raise AssertionError("was not refused")

    def wrong_secret():
        credential = ClientSecretCredential(tenant, client_id, "not the secret", **wire)
        try:
            credential.get_token("https://vault.azure.net/.default")
        except ClientAuthenticationError as error:
            assert "AADSTS7000215" in str(error), error
        else:
            raise AssertionError("was not refused")

    def unknown_tenant():
        credential = ClientSecretCredential("11111111-2222-4333-8444-555555555555", client_id, "x", **wire)
        try:
            credential.get_token("https://vault.azure.net/.default")
        except (ClientAuthenticationError, ValueError) as error:
            assert "90002" in str(error) or "Unable to get authority configuration" in str(error), error
        else:
            raise AssertionError("was not refused")

    # -- keys ----------------------------------------------------------------------------------------------------

    def each_api_version():
        for version in (ApiVersion.V7_5, ApiVersion.V7_6, ApiVersion.V2025_07_01):
            assert keys(api_version=version).get_key("python").name == "python", version
        refused(400, None, lambda: keys(api_version=ApiVersion.V7_0).get_key("python"))

    def listing():
        for _ in range(4):
            client.rotate_key("python")
        pages = list(client.list_properties_of_key_versions("python", max_page_size=2).by_page())
        versions = [v.version for page in pages for v in page]
        assert len(versions) == len(set(versions)) == 5, versions
        for i in range(3):
            client.create_rsa_key(f"list-{i}", size=2048)
        names = [k.name for page in client.list_properties_of_keys(max_page_size=1).by_page() for k in page]
        assert {"python", "list-0", "list-1", "list-2"} <= set(names), names

    def updating():
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        expires = past + datetime.timedelta(days=400)
        updated = client.update_key_properties(
            "list-0", tags={"byok-enrol": "nonce"}, not_before=past, expires_on=expires, key_operations=["unwrapKey"]
        )
        again = client.get_key("list-0", updated.properties.version)
        assert again.properties.tags == {"byok-enrol": "nonce"}
        assert (again.properties.not_before, again.properties.expires_on) == (past, expires)
        assert again.key_operations == ["unwrapKey"]
        assert again.properties.recovery_level == "Recoverable+Purgeable"

    def rotating():
        before = client.get_key("python")
        after = client.rotate_key("python")
        assert before.properties.version != after.properties.version and before.key.n != after.key.n
        assert client.get_key("python", before.properties.version).key.n == before.key.n

    def policy():
        action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P60D")
        client.update_key_rotation_policy("python", KeyRotationPolicy(lifetime_actions=[action], expires_in="P90D"))
        got = client.get_key_rotation_policy("python")
        assert got.expires_in == "P90D" and got.created_on is not None
        kept = [a for a in got.lifetime_actions if a.action == KeyRotationPolicyAction.rotate]
        assert kept and kept[0].time_after_create == "P60D"

    def importing():
        from azure.keyvault.keys import JsonWebKey

        key = rsa.generate_private_key(65537, 2048)
        n = key.private_numbers()

        def raw(value):
            return value.to_bytes((value.bit_length() + 7) // 8, "big")

        jwk = JsonWebKey(
            kty="RSA", key_ops=["wrapKey", "unwrapKey"], n=raw(n.public_numbers.n), e=raw(n.public_numbers.e),
            d=raw(n.d), p=raw(n.p), q=raw(n.q), dp=raw(n.dmp1), dq=raw(n.dmq1), qi=raw(n.iqmp),
        )
        imported = client.import_key("imported", jwk)
        wrapped = key.public_key().encrypt(DATA_KEY, OAEP_256)
        assert crypto(imported).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key == DATA_KEY

    # -- using keys ----------------------------------------------------------------------------------------------

    def wrap_and_unwrap():
        for size in (2048, 3072, 4096):
            key = client.create_rsa_key(f"size-{size}", size=size)
            vault = crypto(key)
            wrapped = vault.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DATA_KEY)
            assert wrapped.key_id == key.id and len(wrapped.encrypted_key) * 8 == size
            assert vault.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == DATA_KEY

    def wrapped_locally():
        """What another implementation of OAEP wrapped with the public key, the vault unwraps."""
        key = client.get_key("size-3072")
        public = rsa.RSAPublicNumbers(int.from_bytes(key.key.e, "big"), int.from_bytes(key.key.n, "big")).public_key()
        wrapped = public.encrypt(DATA_KEY, OAEP_256)
        assert crypto(key).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key == DATA_KEY

    def encrypt_and_decrypt():
        vault = crypto(client.get_key("size-2048"))
        for algorithm in (EncryptionAlgorithm.rsa_oaep_256, EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa1_5):
            sealed = vault.encrypt(algorithm, b"text").ciphertext
            assert vault.decrypt(algorithm, sealed).plaintext == b"text", algorithm

    def unwrap_by_version():
        old = client.get_key("python")
        wrapped = crypto(old).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DATA_KEY).encrypted_key
        new = client.rotate_key("python")
        refused(400, None, lambda: crypto(new).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped))
        assert crypto(old).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped).key == DATA_KEY

    def tampered():
        vault = crypto(client.get_key("size-2048"))
        wrapped = bytearray(vault.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DATA_KEY).encrypted_key)
        wrapped[5] ^= 1
        refused(400, None, lambda: vault.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, bytes(wrapped)))

    # -- refusals ------------------------------------------------------------------------------------------------

    def disabled():
        key = client.create_rsa_key("switch", size=2048)
        wrapped = crypto(key).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DATA_KEY).encrypted_key
        client.update_key_properties("switch", enabled=False)
        unwrap = lambda: crypto(key).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped)  # noqa: E731
        refused(403, "KeyDisabled", unwrap)
        client.update_key_properties("switch", enabled=True)
        assert unwrap().key == DATA_KEY

    def forbidden_operation():
        error = refused(
            403, "KeyOperationForbidden",
            lambda: crypto(client.get_key("list-0")).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DATA_KEY),
        )
        assert error.error.code == "Forbidden"

    def no_role():
        role = {"principal": made["principal"], "role": "crypto_officer"}
        admin("DELETE", f"/vaults/{vault_host}/roles", role)
        try:
            error = refused(403, "ForbiddenByRbac", lambda: keys().get_key("python"))
            assert "Caller is not authorized" in error.message
        finally:
            admin("POST", f"/vaults/{vault_host}/roles", role)

    def missing():
        refused(404, None, lambda: client.get_key("nothing"), ResourceNotFoundError)

    def deleted():
        client.create_rsa_key("gone", size=2048)
        poller = client.begin_delete_key("gone")
        assert poller.result().recovery_id.endswith("/deletedkeys/gone")
        refused(404, None, lambda: client.get_key("gone"), ResourceNotFoundError)
        refused(
            409, "ObjectIsDeletedButRecoverable", lambda: client.create_rsa_key("gone", size=2048), ResourceExistsError
        )
        assert client.get_deleted_key("gone").deleted_date is not None
        client.begin_recover_deleted_key("gone").wait()
        assert client.get_key("gone").name == "gone"
        client.begin_delete_key("gone").wait()
        client.purge_deleted_key("gone")
        refused(404, None, lambda: client.get_deleted_key("gone"), ResourceNotFoundError)

    def throttled():
        admin.fault({"vault": "throttled"}, host=vault_host, operation="get_key", times=1)
        error = refused(429, None, lambda: client.get_key("python"))
        assert error.error.code == "Throttled" and error.response.headers["Retry-After"] == "1"

    def foreign_challenge():
        """The check that a challenge names the vault's own domain is on."""
        # Another vault: the SDK remembers challenges by host.
        other = admin("PUT", f"/tenants/{tenant}/vaults/other-keys")
        number = admin.fault({"answer": "challenge_resource"}, host=other["host"])
        try:
            KeyClient(other["url"], secret, **wire).get_key("python")
        except ValueError as error:
            assert "does not match the requested domain" in str(error), error
        else:
            raise AssertionError("was not refused")
        finally:
            admin("DELETE", f"/faults/{number}")

    for check in (
        by_secret, by_certificate, by_unknown_certificate, by_federated_assertion, wrong_secret, unknown_tenant,
        each_api_version, listing, updating, rotating, policy, importing, wrap_and_unwrap, wrapped_locally,
        encrypt_and_decrypt, unwrap_by_version, tampered, disabled, forbidden_operation, no_role, missing, deleted,
        throttled, foreign_challenge,
    ):
        suite.check(check.__name__.replace("_", " "), check)


def main():
    # Refusals are expected here; the checks tell about those that are not.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("--emulator-binary", metavar="PATH", help="start this, and end it afterwards")
    source.add_argument("--emulator-json", metavar="JSON", help="what `azure-emulator --output json` printed")
    arguments.add_argument("--fault", metavar="JSON", type=json.loads, help="switch this on first: the checks must fail")
    given = arguments.parse_args()

    process = None
    if given.emulator_binary:
        command = [given.emulator_binary, "--listen", "127.0.0.1:0", "--output", "json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        if not line:
            print("error: the emulator did not start", file=sys.stderr)
            return 2
    else:
        line = given.emulator_json
    try:
        made = json.loads(line)
        route_to(made["address"])
        suite = Suite()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca_file:
            ca_file.write(made["ca_pem"])
            ca_file.flush()
            run(made, ca_file.name, suite, given.fault)
    finally:
        if process:
            process.terminate()
            process.wait(10)
    print(f"{suite.passed} passed, {len(suite.failed)} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
