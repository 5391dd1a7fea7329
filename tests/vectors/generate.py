#!/usr/bin/env python3
"""Known answers for the crate `anon`, computed a second time, in another language, from its //! docs alone.

    pip install PyNaCl cryptography
    python3 tests/vectors/generate.py           # writes cutout-*.json beside this file
    python3 tests/vectors/generate.py --check   # says whether the committed files are what it would write

Curves and secretbox come from libsodium (PyNaCl) and OpenSSL (cryptography), Salsa20 and the encoding from
primitives.py; nothing is shared with the Rust side. `anon/tests/vectors.rs` compares byte for byte, making and opening.
The other *.json files are published vectors: each names its source.

Every secret is 32 times one byte. In JSON: bytes are hexadecimal; "sha256" is the hash of what is too long.
"""
import hashlib
import json
import pathlib
import struct
import sys

from primitives import (NO_NONCE, base32, blob, counter_nonce, ed25519, hkdf, label, num, open_secretbox, option, pad, padme,
                        secretbox, seed, seq, sha, signed, span, text, x25519, xor, xsalsa20)
from view import KEEPERS, View, descriptor, view

# ---- the network, its members -----------------------------------------------------------------------------

NAME, NOW = "vectors.alt", 1_800_000_000
VALID = (NOW - 3_600, NOW + 82_800)
AUTHORITY = seed(1)
NETWORK = sha(label("network id"), NAME.encode(), b"\0", ed25519(AUTHORITY))


class Node:
    def __init__(self, byte, addresses, family, admitted):
        self.identity, self.channel = seed(byte), seed(byte + 1)
        self.id, self.key = ed25519(self.identity), x25519(self.channel)
        self.position = sha(bytes.fromhex("002408011220"), self.id)
        admission = signed(AUTHORITY, "node admission", NETWORK, span(VALID), self.id + span(VALID))
        claims = NETWORK + self.id + self.key + seq([text(a) for a in addresses]) + text(family) + span(VALID)
        claims += option(admission if admitted else None)
        self.certificate = signed(self.identity, "node certificate", NETWORK, claims)
        self.digest = sha(self.certificate)
        self.json = dict(identity=self.identity, channel=self.channel, addresses=addresses, family=family,
                         admitted=admitted, id=self.id, position=self.position,
                         certificate=self.certificate, digest=self.digest)


class Owner:
    def __init__(self, byte, local):
        self.secret, self.sealing = seed(byte), seed(byte + 1)
        self.verify_key, self.sealing_key = ed25519(self.secret), x25519(self.sealing)
        self.fingerprint = base32(sha(label("address fingerprint"), NETWORK, self.verify_key, self.sealing_key))
        self.address = f"{local or self.fingerprint}@{NAME}"
        self.keys = text(self.address) + self.verify_key + self.sealing_key
        signer = AUTHORITY if local else self.secret
        self.certificate = signed(signer, "address certificate", NETWORK, NETWORK + self.keys + span(VALID))
        request = signed(self.secret, "signing request", NETWORK, num(0) + self.keys)
        self.json = dict(secret=self.secret, sealing=self.sealing, local=local, address=self.address,
                         inbox=sha(self.address.encode()), certificate_key=sha(self.address.encode() + b"-certificate"),
                         certificate=self.certificate, signing_request=NETWORK + request)


A = Node(0x10, ["/ip4/127.1.0.1/tcp/4001", "/ip4/127.1.0.1/tcp/4002"], "family a", False)
B = Node(0x20, ["/ip4/127.2.0.1/tcp/4001"], "", True)
C = Node(0x30, [], "family c", False)
D, E = Node(0x34, [], "family d", False), Node(0x38, [], "", False)
ALICE, BOB = Owner(0x40, "alice"), Owner(0x50, None)
EXAMPLE_KEY = sha(b"an identifier")


def names():
    message_id = bytes(range(20))
    message_id_text = f"<{base32(message_id)}@{NAME}>"
    revoked = num(7) + num(NOW) + seq([B.id]) + seq([ALICE.verify_key])
    return dict(
        name=NAME, now=NOW, not_before=VALID[0], not_after=VALID[1], authority=AUTHORITY,
        authority_key=ed25519(AUTHORITY), network=NETWORK,
        network_without_authority=sha(label("network id"), NAME.encode(), b"\0"),
        key=dict(identifier="an identifier", key=EXAMPLE_KEY, position=sha(EXAMPLE_KEY)),
        message_id=dict(bytes=message_id, text=message_id_text, key=sha(message_id_text.encode())),
        nodes=[A.json, B.json, C.json, D.json, E.json], owners=[ALICE.json, BOB.json],
        node_signing_request=NETWORK + signed(A.identity, "signing request", NETWORK, num(1) + A.id),
        revocation_list=signed(AUTHORITY, "revocation list", NETWORK, revoked))


def encoding():
    numbers = [0, 1, 250, 251, 252, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]
    return dict(numbers=[dict(number=str(n), encoded=num(n)) for n in numbers],
                padme=[dict(length=n, padded=padme(n)) for n in [*range(40), 999, 65_537, 1_048_575]])


# ---- storage, proofs --------------------------------------------------------------------------------------

RECEIPT_NONCE, PROOF_NONCE = bytes([7]) * 16, bytes([8]) * 16
DELETE = seed(0x60)
OBJECT = bytes(i % 251 for i in range(5_000))
STORED = EXAMPLE_KEY + num(0) + blob(OBJECT) + seq([num(0) + ed25519(DELETE), num(1) + ALICE.certificate])
NOTIFICATION = bytes(i % 241 for i in range(4_144))
APPENDED = sha(BOB.address.encode()) + blob(NOTIFICATION)
DIGESTS = [seed(1), seed(2), seed(3)]


def receipt(node, kind, key, digest, size):
    claims = NETWORK + num(kind) + key + digest + num(size) + num(NOW + 86_400) + node.id + RECEIPT_NONCE
    return signed(node.identity, "receipt", NETWORK, claims)


def inbox_proof(owner, node, name, operation):
    claims = text(owner.address) + node.id + num(NOW) + PROOF_NONCE + operation
    return signed(owner.secret, name, NETWORK, owner.certificate + node.id + num(NOW) + PROOF_NONCE, claims)


STORE_DIGEST, APPEND_DIGEST = sha(label("store digest"), STORED), sha(label("append digest"), APPENDED)
RECEIPTS = [receipt(A, 0, EXAMPLE_KEY, STORE_DIGEST, len(OBJECT)),
            receipt(B, 1, sha(BOB.address.encode()), APPEND_DIGEST, len(NOTIFICATION))]


def lax_ed25519(secret, message):
    """(R, S) with R the neutral element: equation and S are right, and only strict verification refuses it."""
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(hashlib.sha512(secret).digest()[:32], "little") & ~7 & ~(1 << 255) | 1 << 254
    neutral = bytes([1]) + bytes(31)
    k = int.from_bytes(hashlib.sha512(neutral + ed25519(secret) + message).digest(), "little")
    return neutral + (k * scalar % order).to_bytes(32, "little")


DELETION = signed(DELETE, "delete", NETWORK, EXAMPLE_KEY + ed25519(DELETE) + C.id + num(NOW))
LAX_DELETION = DELETION[:-64] + lax_ed25519(DELETE, label("delete") + NETWORK + DELETION[:-65])
LIST, HAND_OVER = num(0) + num(300) + num(4_096), num(1) + seq(DIGESTS)
READ = inbox_proof(BOB, A, "read inbox", sha(LIST))
TAKE = inbox_proof(BOB, A, "read inbox", sha(HAND_OVER))
ACKNOWLEDGE = inbox_proof(ALICE, B, "acknowledge inbox", sha(seq(DIGESTS)))


def storage():
    return dict(nonce=RECEIPT_NONCE, expiry=NOW + 86_400, store_digest=STORE_DIGEST, append_digest=APPEND_DIGEST,
                receipts=RECEIPTS, delete_seed=DELETE, deletion=DELETION,
                lax_deletion=LAX_DELETION, proof_nonce=PROOF_NONCE, list=READ, hand_over=TAKE,
                digests=DIGESTS, acknowledge=ACKNOWLEDGE)


STORE = num(0) + STORED + RECEIPT_NONCE
FETCH = num(1) + EXAMPLE_KEY


def view_requests():
    epoch, start, noise = num(7), num(300), blob(bytes(range(40)))
    return dict(
        state=num(0) + noise, statements=num(1) + seq([seed(8)] * 2), vote=num(2) + epoch + seed(9) + start,
        chain=num(3) + noise, signatures=num(4) + noise, word=num(5) + noise, words=num(6) + epoch, latest=num(7),
        whole=num(8) + seed(10) + start, revocations=num(9) + seed(11) + start)


def messages():
    requests = dict(
        store=STORE, fetch=FETCH, delete=num(2) + DELETION, append=num(3) + APPENDED + RECEIPT_NONCE,
        list=num(4) + READ + LIST, hand_over=num(4) + TAKE + HAND_OVER,
        acknowledge=num(5) + ACKNOWLEDGE + seq(DIGESTS), closest=num(6) + EXAMPLE_KEY + b"\x14",
        certificate=num(7), perform_nodes=num(8) + num(0) + seq([A.id, B.id]) + FETCH,
        perform_closest=num(8) + num(1) + EXAMPLE_KEY + b"\x08" + FETCH,
        perform_nearest=num(8) + num(2) + EXAMPLE_KEY + b"\x08" + FETCH, nearest=num(10) + EXAMPLE_KEY + b"\x05",
        roster=num(11) + seq([bytes([i]) * 8 for i in range(256)]), roster_entries=num(12) + seq([bytes([5]) * 8]),
        perform_each=num(13) + seq([A.id + FETCH, B.id + num(7)]),
        **{"view_" + name: num(15) + content for name, content in view_requests().items()})
    statement = NETWORK + A.id + num(NOW // 86_400) + EXAMPLE_KEY + seq([B.id, C.id])
    answers = seq([A.id + option(num(0) + RECEIPTS[0]), B.id + option(None)])
    responses = dict(
        receipt=num(0) + RECEIPTS[1], object=num(1) + blob(OBJECT), deleted=num(2),
        listed=num(3) + num(0) + seq(DIGESTS) + option(num(300)), handed_over=num(3) + num(1) + seq([blob(NOTIFICATION)]), acknowledged=num(4) + num(300),
        closest=num(5) + seq([C.certificate]), certificate=num(6) + C.certificate,
        performed=num(7) + seq([B.certificate]) + answers, not_found=num(9), full=num(10), refused=num(11),
        nearest=num(12) + signed(A.identity, "nearest statement", NETWORK, statement),
        roster=num(13) + seed(0x55) + seq([bytes([6]) * 8]), roster_entries=num(14) + seq([C.certificate]),
        view=num(16) + blob(OBJECT))
    return dict(requests=requests, responses=responses)


# ---- handshake, cells, channels ---------------------------------------------------------------------------


class Standing:
    """A member as it stands in the view of an epoch, with a channel key of its own for it."""

    def __init__(self, node, byte, epoch):
        self.id, self.channel, self.epoch = node.id, seed(byte), epoch
        self.key = x25519(self.channel)
        self.descriptor = descriptor(self.id, self.key, f"192.0.2.{byte}", 4_001)
        stated = b"\1" + num(epoch) + blob(self.descriptor)
        self.signature = ed25519(node.identity, label("node descriptor") + NETWORK + stated)

    @property
    def name(self):
        return b"\1" + struct.pack(">Q", self.epoch) + bytes(24)

    def h0(self, e):
        return sha(label("handshake in a view"), VERSION, NETWORK, struct.pack(">Q", self.epoch), self.id, self.key, e)


class Certified:
    """A member as its certificate says."""

    def __init__(self, node):
        self.id, self.channel, self.key, self.digest = node.id, node.channel, node.key, node.digest

    @property
    def name(self):
        return b"\0" + self.digest

    def h0(self, e):
        return sha(label("handshake"), VERSION, NETWORK, self.digest, e)


class Handshake:
    def __init__(self, node, sender_seed, node_seed):
        self.node, self.node_seed, self.e, e2 = node, node_seed, x25519(sender_seed), x25519(node_seed)
        self.h0 = node.h0(self.e)
        es, ee = x25519(sender_seed, node.key), x25519(sender_seed, e2)
        self.early_key = hkdf(self.h0, es, "handshake early data")
        self.filler = xsalsa20(hkdf(self.h0, es, "handshake onion filler"), NO_NONCE, SHIFT)
        self.key = lambda name, h1: hkdf(hkdf(self.h0, es, "handshake chain"), ee, name, h1)
        self.e2 = e2

    def carrying(self, body):
        h1 = sha(self.h0, body, self.e2)
        self.create = VERSION + self.node.name + self.e + body
        self.create_encoded = VERSION + blob(self.node.name) + self.e + blob(body)
        self.created = self.e2 + self.key("handshake confirmation", h1)
        self.cells = {way: [self.key(f"cell {way}", h1), 0] for way in ("forward", "backward")}
        self.layer = {way: [self.key(f"layer {way}", h1), 0] for way in ("forward", "backward")}
        return self


VERSION, HEAD, SHIFT, PLAIN = b"\1", 1 + 33 + 32, 178, 1 + 512 + 4 * 178
EARLY = [num(6) + EXAMPLE_KEY + b"\x03", b"", num(7)]
REST = xsalsa20(seed(0x6F), NO_NONCE, 4 * SHIFT)


def onion(path, questions, early):
    """The path's handshakes, each with its body."""
    *go_betweens, last = path
    tail = b""
    for hop in go_betweens:
        stream = xsalsa20(hop.early_key, NO_NONCE, 32 + PLAIN)
        tail = xor(tail, stream[len(stream) - len(tail):]) + hop.filler
    stream = xsalsa20(last.early_key, NO_NONCE, 32 + PLAIN)
    tail = xor(tail, stream[len(stream) - len(tail):])
    rest = REST[:4 * SHIFT - len(tail)] + tail
    last.carrying(secretbox(last.early_key, NO_NONCE, b"\0" + pad(early, 512) + rest))
    for hop, question, after in list(zip(go_betweens, questions, path[1:]))[::-1]:
        plain = b"\1" + pad(question, 64) + after.node.id + after.create[1:-SHIFT]
        assert len(plain) == PLAIN
        hop.carrying(secretbox(hop.early_key, NO_NONCE, plain))
    for hop, after in zip(path, path[1:]):
        assert passed_on(hop.node, hop.create) == after.create
    return path


def passed_on(node, create):
    """What a go-between makes of a first message, from its own secret."""
    assert create[:34] == VERSION + node.name
    e, body = create[34:HEAD], create[HEAD:]
    h0, es = node.h0(e), x25519(node.channel, e)
    plain = open_secretbox(hkdf(h0, es, "handshake early data"), NO_NONCE, body)
    assert plain[0] == 1
    return VERSION + plain[1 + 64 + 32:] + xsalsa20(hkdf(h0, es, "handshake onion filler"), NO_NONCE, SHIFT)


def count(pair):
    pair[1] += 1
    return pair[0], counter_nonce(pair[1] - 1)


def carry(path, way, message):
    """The cells of one message on each link, from the sender's to the far end's."""
    framed = struct.pack("<I", len(message)) + message
    pieces = [framed[i:i + 4_080].ljust(4_080, b"\0") for i in range(0, len(framed), 4_080)]
    links = [[secretbox(*count(path[-1].cells[way]), piece) for piece in pieces]]
    for hop in reversed(path[:-1]):
        stream = [xsalsa20(*count(hop.layer[way]), 4_096) for _ in pieces]
        links.insert(0, [xor(cell, s) for cell, s in zip(links[0], stream)])
    assert all(len(cell) == 4_096 for link in links for cell in link)
    return dict(way=way, message_sha256=sha(message), links=[[sha(cell) for cell in link] for link in links],
                first_cell=links[0][0])


def channel():
    steps, path = [], []
    for number, (node, early) in enumerate(zip([A, B, C], EARLY)):
        hop, = onion([Handshake(Certified(node), seed(0x70 + number), seed(0x78 + number))], [], early)
        steps.append(dict(extended_to=number, early=early, create=hop.create, created=hop.created))
        if path:
            steps.append(carry(path, "forward", num(9) + node.certificate + hop.create_encoded))
            steps.append(carry(path, "backward", num(8) + hop.created))
        path.append(hop)
        steps += [carry(path, "forward", FETCH), carry(path, "backward", num(1) + blob(OBJECT)),
                  carry(path, "forward", STORE), carry(path, "backward", num(0) + RECEIPTS[0])]
    for step in steps[3:]:
        step.pop("first_cell", None)
    return dict(sender_seeds=[seed(0x70 + i) for i in range(3)], node_seeds=[seed(0x78 + i) for i in range(3)],
                rest=REST, steps=steps)


def one_pass(nodes, path):
    """What each hop of a path made in one pass receives and answers; who is asked what, and what comes back."""
    members = [nodes[number] for number in path]
    seeds = [(seed(0x90 + i), seed(0x98 + i)) for i in range(len(path))]
    questions = [num(10) + EXAMPLE_KEY + b"\1", b"", num(7), b""][:len(path) - 1]
    hops = onion([Handshake(node, *both) for node, both in zip(members, seeds)], questions, FETCH)
    back, answer = [], num(6) + B.certificate
    for number, question in enumerate(questions):
        if question:
            back.append(carry(hops[:number + 1], "backward", answer))
        back.append(carry(hops[:number + 1], "backward", num(8) + hops[number + 1].created))
    steps = [carry(hops, "backward", num(1) + blob(OBJECT)), carry(hops, "forward", STORE)]
    for step in back + steps:
        step.pop("first_cell")
    return dict(nodes=path, questions=questions, early=FETCH, rest=REST[:(5 - len(path)) * SHIFT],
                creates=[hop.create for hop in hops], createds=[hop.created for hop in hops], back=back, steps=steps)


def onions():
    """Paths of one to five hops made in one pass, over nodes named by certificates, and over nodes of a view."""
    members, epoch = [A, B, C, D, E], 0x0102030405
    certified = [Certified(node) for node in members]
    standing = [Standing(node, 0xA0 + number, epoch) for number, node in enumerate(members)]
    in_order = sorted(standing, key=lambda node: node.id)
    signed_view = View(epoch, None, [node.descriptor for node in in_order], [node.signature for node in in_order], [0], NETWORK)
    return dict(sender_seeds=[seed(0x90 + i) for i in range(5)], node_seeds=[seed(0x98 + i) for i in range(5)],
                paths=[one_pass(certified, path) for path in ([0], [2, 0], [0, 1, 2], [4, 1, 0, 3, 2])],
                view=dict(keeper_keys=[ed25519(KEEPERS[0])], whole=signed_view.whole(1),
                          channels=[node.channel for node in standing]),
                in_view=[one_pass(standing, path) for path in ([0], [3, 1], [4, 1, 0, 3, 2])])


# ---- mail -------------------------------------------------------------------------------------------------


def mail():
    content, key, message_id = bytes(i % 239 for i in range(1_000)), seed(0x80), bytes([0x81]) * 20
    sealed = secretbox(key, NO_NONCE, pad(content, padme(1_004)))
    part = message_id + sha(sealed) + key
    date, subject, ephemeral = NOW - 60, "Grüße", seed(0x82)
    covered = text(BOB.address) + num(date) + seq([sha(sealed)])
    sender = signed(ALICE.secret, "mail signature", NETWORK, ALICE.certificate, covered)
    headers = text(BOB.address) + num(date) + text(subject) + num(len(content)) + seq([part]) + option(DELETE) + option(sender) + option(None)
    e = x25519(ephemeral)
    k = hkdf(e + BOB.sealing_key, x25519(ephemeral, BOB.sealing_key), "notification", NETWORK + BOB.address.encode())
    return dict(content=content, body_key=key, message_id=message_id, object=sealed, date=date, subject=subject,
                answers=[dict(number=number, signing=answer(number, 0), sealing=answer(number, 1)) for number in (0, 258)],
                delete_seed=DELETE, delete_secret=hkdf(b"", DELETE, "delete key", message_id), ephemeral=ephemeral, headers=headers,
                notification=e + secretbox(k, NO_NONCE, pad(headers, 4_096)))


def answer(number, purpose):
    """A secret of an address for answers."""
    return hkdf(NETWORK, seed(0x84), "reply address", struct.pack(">IB", number, purpose))


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def main():
    here, good = pathlib.Path(__file__).parent, True
    for make in (names, encoding, storage, messages, channel, onions, mail, view):
        file = here / f"cutout-{make.__name__}.json"
        content = json.dumps(dict(source="tests/vectors/generate.py", **plain(make())), indent=1) + "\n"
        if "--check" not in sys.argv:
            file.write_text(content)
        elif file.read_text() != content:
            good = False
            print(f"{file.name} is not what generate.py writes")
    sys.exit(not good)


if __name__ == "__main__":
    main()
