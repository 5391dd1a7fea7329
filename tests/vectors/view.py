"""The view of an epoch, a second time: descriptors, statements, headers, quorums, trees, whole views, differences."""
import ipaddress
import struct

from primitives import blob, ed25519, label, num, option, seed, sha, x25519

NETWORK, SERIAL, REVOCATIONS = bytes([0x4E]) * 32, 7, bytes([0x5E]) * 32
KEEPERS = [seed(0xC0 + number) for number in range(4)]


def descriptor(node, key, ip=None, port=0, onion=None, family=None):
    tcp = ipaddress.ip_address(ip).packed + struct.pack(">H", port) if ip else b""
    kind = {0: 0, 6: 1, 18: 2}[len(tcp)] | (4 if onion else 0) | (8 if family else 0)
    return node + key + bytes([kind]) + tcp + (onion + struct.pack(">H", 443) if onion else b"") + (family or b"")


class Stating:
    """A node with what it states for an epoch."""

    def __init__(self, byte, epoch, ip=None, onion=None, family=None):
        identity, channel, port = seed(byte), seed(byte + 1), 4_000 + byte
        self.id, key = ed25519(identity), x25519(channel)
        tag = membership = None
        if family:
            family_key = ed25519(family)
            tag = sha(label("family tag"), NETWORK, family_key)[:12]
            membership = family_key + blob(ed25519(family, label("family membership") + NETWORK + self.id))
        self.descriptor = descriptor(self.id, key, ip, port, onion, tag)
        stated = lambda part: b"\1" + num(epoch) + blob(part)
        sign = lambda part: ed25519(identity, label("node descriptor") + NETWORK + stated(part))
        self.signature, parts = sign(self.descriptor), None
        if ip and onion:
            both = descriptor(self.id, key, ip, port, None, tag), descriptor(self.id, key, None, 0, onion, tag)
            parts = b"".join(blob(sign(part)) for part in both)
        statement = stated(self.descriptor) + blob(self.signature) + option(parts) + option(membership)
        digest = sha(label("node statement digest"), NETWORK, statement)
        self.json = dict(identity=identity, channel=channel, ip=ip, port=port, onion=onion, family=family, tag=tag,
                         descriptor=self.descriptor, statement=statement, digest=digest)


def tree(entries):
    """RFC 9162, 2.1.1."""
    if len(entries) < 2:
        return sha(*(b"\0" + entry for entry in entries))
    middle = 1
    while 2 * middle < len(entries):
        middle *= 2
    return sha(b"\1", tree(entries[:middle]), tree(entries[middle:]))


def path(entries, at):
    """RFC 9162, 2.1.3.1."""
    if len(entries) < 2:
        return []
    middle = 1
    while 2 * middle < len(entries):
        middle *= 2
    left, right = entries[:middle], entries[middle:]
    return path(left, at) + [tree(right)] if at < middle else path(right, at - middle) + [tree(left)]


chunks = lambda entries: [entries[i:i + 256] for i in range(0, len(entries), 256)]


class View:
    def __init__(self, epoch, before, descriptors, signatures, signers, network=NETWORK):
        self.descriptors, self.signatures = descriptors, signatures
        self.header = (b"\1" + network + num(epoch) + option(before and before.id) + num(len(descriptors)) + tree(descriptors)
                       + tree(signatures) + num(SERIAL) + REVOCATIONS)
        self.id = sha(label("view id"), self.header)
        self.signed = b"\1" + struct.pack(">H", len(self.header)) + self.header + bytes([len(signers)])
        for number in signers:
            self.signed += bytes([number]) + ed25519(KEEPERS[number], label("view") + network + self.id)

    def front(self, kind):
        lists = [self.descriptors, self.signatures] if kind == 1 else [self.descriptors]
        return bytes([1, kind]) + self.signed + b"".join(tree(chunk) for entries in lists for chunk in chunks(entries))

    def whole(self, kind):
        parts = [self.front(kind)]
        for descriptors, signatures in zip(chunks(self.descriptors), chunks(self.signatures)):
            parts += descriptors + (signatures if kind == 1 else [])
        return b"".join(parts)

    def difference(self, base):
        old = {d[:32]: (rank, d) for rank, d in enumerate(base.descriptors)}
        body, done = b"", 0
        for new in self.descriptors:
            rank, before = old.get(new[:32], (None, None))
            stays = before is not None and before[64:] == new[64:]
            below = sum(d[:32] < new[:32] for d in base.descriptors[done:])
            leaving = below + (rank is not None and not stays)
            done += below + (rank is not None)
            while leaving:
                now = min(leaving, 64)
                body, leaving = body + bytes([0xC0 + now - 1]), leaving - now
            body += new[63:31:-1] if stays else b"\x80" + new
        return self.front(2) + body


def numbered(number, epoch):
    """Node `number` of `anon::testing::views`."""
    of = lambda what, number, epoch: sha(what, struct.pack(">IQ", number, epoch))
    key = bytearray(of(b"channel key", number, epoch))
    key[31] &= 0x3F
    ip = (16 << 24) + (number % 4_096 << 16) + number // 4_096
    family = None if number % 5 else of(b"family", number // 50, 0)[:12]
    return descriptor(of(b"node", number, 0), bytes(key), ip, 4_001, None, family)


def placeholder(number):
    return sha(b"signature", struct.pack(">IQ", number, 0)) * 2


def large(epoch, before, numbers):
    descriptors = sorted(numbered(number, epoch) for number in numbers)
    return View(epoch, before, descriptors, [placeholder(rank) for rank in range(len(descriptors))], range(3))


def view():
    family, onion = seed(0xF0), seed(0x0E)
    nodes = [Stating(0x10, 9, "192.0.2.7"), Stating(0x20, 9, "2001:db8::7"), Stating(0x30, 9, None, onion),
             Stating(0x40, 9, "192.0.2.8", onion, family), Stating(0x50, 9, "2001:db8::8", None, family)]
    nodes.sort(key=lambda node: node.id)
    small = View(9, None, [node.descriptor for node in nodes], [node.signature for node in nodes], [0, 2, 3])
    base = large(300, None, range(600))
    after = large(301, base, range(70, 680))
    spelled = lambda one: dict(header=one.header, id=one.id, signed=one.signed, root=tree(one.descriptors),
                               signatures_root=tree(one.signatures))
    summed = lambda data: dict(length=len(data), sha256=sha(data))
    return dict(
        network=NETWORK, serial=SERIAL, revocations=REVOCATIONS, keepers=KEEPERS,
        keeper_keys=[ed25519(keeper) for keeper in KEEPERS], epoch=9, signers=[0, 2, 3],
        nodes=[node.json for node in nodes],
        small=dict(**spelled(small), whole=small.whole(0), with_signatures=small.whole(1),
                   paths=[path(small.descriptors, rank) for rank in range(5)]),
        base=dict(**spelled(base), whole=summed(base.whole(0)), with_signatures=summed(base.whole(1)),
                  path=path(base.descriptors, 500)),
        after=dict(**spelled(after), whole=summed(after.whole(0)), difference=summed(after.difference(base))))
