"""Computes the vectors of invite_test.go and words_test.go from docs/protocol/keys.md.

    python3 vectors.py english.txt     (the BIP-39 list, one word a line)

It needs the package cryptography, and shares no code with Keyhall.
"""

import base64
import binascii
import hashlib
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HUB = b"OADM7CSGQR3OGAGYNIDBDNHYYSJTNB4BH33UV6IKYQMHGEEPEIFOVVVZ"


def b32(raw):
    return base64.b32encode(raw).decode().rstrip("=")


def nkey(prefix, raw):
    body = bytes([prefix << 3]) + raw
    return b32(body + binascii.crc_hqx(body, 0).to_bytes(2, "little"))  # CRC-16/XMODEM


def invite():
    fingerprint = hashlib.sha256(HUB).digest()[:16]
    inviter, secret = bytes(range(32)), bytes(range(16))
    body = b"\x01" + fingerprint + inviter + secret
    text = b32(body + hashlib.sha256(body).digest()[:4]).lower()
    code = "kh-" + "-".join(text[i : i + 8] for i in range(0, len(text), 8))
    seed = HKDF(hashes.SHA256(), 32, fingerprint, b"\xffkeyhall/invite/v1\x00").derive(secret)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return code, nkey(20, raw)  # 20: U


def words(wordlist):
    a, b = b"\x01" + bytes(31), b"\x02" + bytes(31)
    digest = hashlib.sha256(b"\xffkeyhall/words/v1\x00" + HUB + b"\x00" + a + b).digest()
    bits = "".join(f"{byte:08b}" for byte in digest)[:88]
    return " ".join(wordlist[int(bits[i : i + 11], 2)] for i in range(0, 88, 11))


print(*invite(), sep="\n")
print(words(open(sys.argv[1]).read().split()))
