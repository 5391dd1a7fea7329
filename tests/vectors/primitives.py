"""What generate.py is made of: hashes, curves, ciphers, and bincode's variable-length encoding."""
import base64
import hashlib
import struct

import nacl.secret
import nacl.signing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# ---- primitives -------------------------------------------------------------------------------------------

sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
seed = lambda byte: bytes([byte]) * 32
label = lambda text: b"cutout/1 " + text.encode() + b"\0"


def hkdf(salt, secret, name, context=b""):
    return HKDF(SHA256(), 32, salt, label(name) + context).derive(secret)


def x25519(secret, public=None):
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.exchange(X25519PublicKey.from_public_bytes(public)) if public else key.public_key().public_bytes_raw()


def ed25519(secret, message=None):
    key = nacl.signing.SigningKey(secret)
    return bytes(key.verify_key) if message is None else key.sign(message).signature


def secretbox(key, nonce, message):
    return nacl.secret.SecretBox(key).encrypt(message, nonce).ciphertext


def open_secretbox(key, nonce, sealed):
    return nacl.secret.SecretBox(key).decrypt(sealed, nonce)


def rotl(x, n):
    return ((x << n) & 0xFFFFFFFF) | (x >> (32 - n))


def salsa_rounds(x):
    x = list(x)
    columns = [(0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)]
    rows = [(0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)]
    for _ in range(10):
        for a, b, c, d in columns + rows:
            x[b] ^= rotl((x[a] + x[d]) & 0xFFFFFFFF, 7)
            x[c] ^= rotl((x[b] + x[a]) & 0xFFFFFFFF, 9)
            x[d] ^= rotl((x[c] + x[b]) & 0xFFFFFFFF, 13)
            x[a] ^= rotl((x[d] + x[c]) & 0xFFFFFFFF, 18)
    return x


def salsa_state(key, sixteen):
    s, k, n = (struct.unpack("<%dI" % (len(v) // 4), v) for v in (b"expand 32-byte k", key, sixteen))
    return [s[0], *k[:4], s[1], *n, s[2], *k[4:], s[3]]


def xsalsa20(key, nonce, length):
    """The first bytes of Bernstein's XSalsa20 stream ("Extending the Salsa20 nonce", 2011)."""
    z = salsa_rounds(salsa_state(key, nonce[:16]))
    subkey = struct.pack("<8I", *(z[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))
    blocks = []
    for counter in range((length + 63) // 64):
        state = salsa_state(subkey, nonce[16:] + struct.pack("<Q", counter))
        mixed = ((a + b) & 0xFFFFFFFF for a, b in zip(state, salsa_rounds(state)))
        blocks.append(struct.pack("<16I", *mixed))
    return b"".join(blocks)[:length]


NO_NONCE = bytes(24)
counter_nonce = lambda counter: struct.pack("<Q16x", counter)
xor = lambda a, b: bytes(x ^ y for x, y in zip(a, b))
assert secretbox(seed(1), NO_NONCE, bytes(99))[16:] == xsalsa20(seed(1), NO_NONCE, 131)[32:]

# ---- encoding: bincode's variable-length format -----------------------------------------------------------


def num(n):
    for limit, prefix, form in ((251, b"", "<B"), (1 << 16, b"\xfb", "<H"), (1 << 32, b"\xfc", "<I")):
        if n < limit:
            return prefix + struct.pack(form, n)
    return b"\xfd" + struct.pack("<Q", n)


blob = lambda data: num(len(data)) + data
text = lambda s: blob(s.encode())
seq = lambda items: num(len(items)) + b"".join(items)
option = lambda item: b"\0" if item is None else b"\1" + item
span = lambda validity: num(validity[0]) + num(validity[1])


def signed(secret, name, network, content, covered=None):
    """The encoded content and its signature; `covered` is what is signed, where that is not the content."""
    message = label(name) + network + (content if covered is None else covered)
    return content + blob(ed25519(secret, message))


def padme(length):
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    last = exponent - exponent.bit_length()
    mask = (1 << max(last, 0)) - 1
    return (length + mask) & ~mask


base32 = lambda data: base64.b32encode(data).decode().rstrip("=").lower()
pad = lambda content, size: (struct.pack("<I", len(content)) + content).ljust(size, b"\0")
