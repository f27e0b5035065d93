"""The SA table: datagrams, time and wishes in; datagrams, a deadline and events out.

No socket, no clock and no randomness of its own: `receive(datagram, path, now)` and `poll(now)`
drive it, `take_datagrams()`, `take_events()` and `deadline()` say what came of it. All times are
milliseconds that never run backwards.
"""

import struct

from hal import HalError, PublicKeyError
from ike import groups, informational, rivals, wire
from ike import registry as R
from ike.exchange import Drops, Refused
from ike.sa import Sa
from ike.wire import Drop

_MAX_EVENTS = 48
_AGAIN_MS = 5000  # how long after a question that could not be made
_BUSY_MS = 300  # how much later a rival's secret is made where datagrams wait
ANYWHERE = "any"  # the address of a peer that certificates identify
_LASTING = ("established", "failed", "deleted")  # events that find a place in a full queue
_NO_HINT = ("duplicate", "unauthenticated-informational")  # say nothing about why it fails


class Misuse(Exception):
    """The caller asked for what cannot be done; the text says why."""


class Engine:
    """All exchanges and SAs of one agent.

    `hal`: the crypto; `peers`: list of policy.Peer; `local`: (address, port) that the agent is
    bound to; `clock()`: the same time as `now`, read again where work took long;
    `strict=False`: see wire.offer.
    """

    def __init__(self, hal, peers, local, clock, strict=True, natt_port=0):
        self.hal = hal
        self.peers = peers
        self.local = local
        self.clock = clock
        self.strict = strict
        self.natt_port = natt_port  # our port for messages with a non-ESP marker; 0: none
        self.came = None  # the path of the message in hand
        self.drops = Drops()
        self.sas = []
        self.last_failure = {}  # peer name: (code, reason, when)
        self.last_down = {}  # peer name: (why its SA went and left none, when)
        self._out = []
        self._events = []
        self._pairs = {}
        self.halfopen = None
        if any(peer.role != "initiator" for peer in peers):
            from ike import halfopen

            self.halfopen = halfopen
        self.firsts = []  # see ike/halfopen.py, also for the next two
        self.left = b""
        self.left_at = 0
        self.cookie_secret = hal.random(16)
        self._cookies_made = 0
        self.last_drop = None  # when something from a peer's address was last dropped
        self.told = [0, 0]  # [since when, how many first messages were events]
        self.contacted = set()  # names of the peers with which there was an SA
        self.rival_due = 0  # when the next rival's Diffie-Hellman may be made

    # --- wishes ---------------------------------------------------------------------------------

    def initiate(self, name, now):
        """Begin Main Mode with a configured peer, unless an SA or an exchange of ours is there."""
        peer = self._peer(name)
        if self.find(name) is None:
            self.begin(peer, now)

    def begin(self, peer, now):
        """Send message 1 to a peer."""
        path = self.local + (peer.address, peer.port)
        sa = self.find(peer.name)
        if sa and sa.natt:
            path = sa.path  # through the mapping that is there
        sa = Sa(self, peer, path, True, self.cookie(path, now), wire.ZERO_COOKIE, now)
        self.sas.append(sa)
        try:
            sa.initiate()
        except MemoryError:
            self.give_up(sa)
            raise

    def terminate(self, name):
        """End a peer's SAs and exchanges; a peer with an SA is told by DELETE. How many.

        MemoryError where there is not enough for a DELETE: what was not ended yet is still there.
        """
        self._peer(name)
        ended = 0
        sa = self.find(name, True)
        while sa:
            self.delete(sa, "us")
            ended += 1
            sa = self.find(name, True)
        return ended

    def find(self, name, anybodys=False):
        """The peer's established SA, else its exchange that we began, else None. `anybodys`: or
        one that somebody else began in its name, which nothing may wait for."""
        best = None
        for sa in self.sas:
            is_up = sa.state == "ESTABLISHED"
            known = is_up or sa.initiator or anybodys
            if known and sa.peer.name == name and not sa.spare and (best is None or is_up):
                best = sa
        return best

    def is_up(self, name):
        """Whether there is an SA with a peer."""
        sa = self.find(name)
        return sa is not None and sa.state == "ESTABLISHED"

    # --- datagrams in ---------------------------------------------------------------------------

    def receive(self, datagram, path, now):
        """One datagram from the network; whatever it is, it raises nothing.

        `path`: (local address, local port, remote address, remote port).
        """
        lines = ()
        self.came = path
        try:
            if path[1] == self.natt_port:
                from ike import natt

                datagram = natt.unmarked(self, datagram)
                if datagram is None:
                    return
            header = wire.Header(datagram, self.strict)
            lines = self._lines(header, path)
            if header.first == R.FRAGMENT:
                if not lines:
                    raise Drop("unknown-cookie")
                from ike import fragments

                whole = fragments.reassembled(lines[0], header, datagram)
                if whole is None:
                    return
                header, datagram = whole
            if header.exchange == R.ID_PROT:
                self._main_mode(lines, header, datagram, path, now)
            elif header.exchange == R.INFORMATIONAL:
                informational.receive(self, lines, header, datagram)
            else:
                raise Drop("unsupported-exchange")
        except Drop as drop:
            self._drop(lines, drop.args[0], path, now)
        except HalError:
            self._drop(lines, "no-crypto-engine", path, now)
        except MemoryError:
            self._drop(lines, "no-memory", path, now)

    def _lines(self, header, path):
        """The lines of the exchange, or the SA, that a message's cookies and path name."""
        found = []
        elsewhere = False
        for sa in self.sas:
            if sa.cky_i != header.cky_i:
                continue
            # An initiator that waits for message 2 does not know CKY-R yet.
            waiting = sa.state == "MAIN_I1" and header.cky_r != wire.ZERO_COOKIE
            if sa.cky_r == header.cky_r or waiting:
                if sa.path[2:] == path[2:] or self._is_floated(sa, header, path):
                    found.append(sa)
                else:
                    elsewhere = True
        if elsewhere and not found:
            raise Drop("wrong-path")
        return found

    def _is_floated(self, sa, header, path):
        """Whether a message is a line's though NAT traversal has moved it to another port. A spare
        knows of no NAT, but message 5 wakes the rivals that it keeps; and message 4 may come again
        from the port of before."""
        if path[1] == self.natt_port:
            return sa.natt or (sa.spare and header.encrypted)
        return sa.natt and not header.encrypted and sa.path[2] == path[2]

    def _main_mode(self, lines, header, datagram, path, now):
        if header.msgid:
            raise Drop("bad-message-id")
        if header.auth_only and self.strict:
            raise Drop("bad-flags")
        if header.cky_r == wire.ZERO_COOKIE:  # only message 1 has none
            if self.halfopen is None:
                raise Drop("not-responder")
            self.halfopen.receive(self, header, datagram, path, now)
            return
        if not lines:
            if header.encrypted or self.halfopen is None:
                raise Drop("unknown-cookie")
            lines = [self.halfopen.revive(self, header, path, now)]
        digest = self.digest_of(header, datagram)
        for sa in lines:
            if sa.replay.is_duplicate(digest):
                sa.repeat(now)
                raise Drop("duplicate")
        rivals.receive(self, lines, header, datagram, digest, now)

    def process(self, sa, header, datagram, digest, now):
        """One message for one line of an exchange."""
        try:
            sa.receive(header, datagram, digest, now)
        except Refused as refused:
            self.refuse(sa, *refused.args)

    def refuse(self, sa, code, number, reason):
        """End an exchange with a peer that proved its key; see seldom.refuse."""
        try:
            from ike import seldom

            seldom.refuse(sa, code, number, reason)
        except MemoryError:  # not even for the notify
            if sa in self.sas:
                rivals.settle(sa)
                sa.fail(code, reason)
            else:
                self.unreached(sa.peer.name, code, reason)

    def peer_at(self, path):
        """The configured peer at a remote address; the port decides between several. Where none
        is, one that may be anywhere: its certificate will tell which."""
        found = None
        for peer in self.peers:
            if peer.address == path[2] and (found is None or peer.port == path[3]):
                found = peer
        for peer in self.peers:
            if found is None and peer.address == ANYWHERE:
                found = peer
        if found is None:
            raise Drop("unknown-peer")
        return found

    def alternatives(self, sa):
        """The peers that the other side of an exchange may turn out to be by its identity."""
        if sa.peer.address != ANYWHERE:
            return [sa.peer]
        return [
            peer
            for peer in self.peers
            if peer.address == ANYWHERE and sa.suite.base in [suite.base for suite in peer.suites]
        ]

    # --- time -----------------------------------------------------------------------------------

    def poll(self, now, busy=False):
        """Timers, then at most one piece of slow work; True where more is left to do.

        Send what take_datagrams() has before calling: the peer can work at the same time.
        `busy`: more datagrams wait to be read. The rivals' secrets wait then, for a while: of a
        queue that overflows, the peer's own datagrams are lost too.
        """
        at = 0
        while at < len(self.sas):  # no copy: where there is no piece for one, no timer would run
            sa = self.sas[at]
            sa.tick(now)
            if at < len(self.sas) and self.sas[at] is sa:  # else it has ended, or one before it
                at += 1
        due = self._due(now, busy)
        if due is None:
            return False
        is_rival = due.rival or due.spare
        try:
            if due.spare:
                from ike import folded

                spare, due = due, folded.unfold(due)
                due.derive_late()
                folded.try_kept(spare, due, now)
            else:
                due.derive_late()
        except (HalError, MemoryError, PublicKeyError) as error:
            short = isinstance(error, MemoryError) and (due.spare or not due.initiator)
            if short or (due.rival and not due.initiator):
                from ike import seldom

                seldom.put_off(due, now)
            else:
                due.fail("no-crypto-engine", "the shared secret cannot be made: %r" % error)
        if is_rival:
            self.rival_due = self.clock() + rivals.INTERVAL_MS
        return True

    def _due(self, now, busy):
        """The line whose shared secret is due and was first, None where none is."""
        first = None
        for sa in self.sas:
            rival = sa.rival or sa.spare
            patience = _BUSY_MS if busy and rival and not sa.initiator else 0
            if not sa.wants_derive(now - patience) or (rival and now < self.rival_due):
                continue
            if first is None or sa.derive_at < first.derive_at:
                first = sa
        return first

    def prepare(self):
        """While idle: make the key pair that the next exchange will most likely need. True where
        one was made. It is used once.
        """
        if self.sas or not self.peers:
            return False
        group = self.peers[0].suites[0].group
        if group in self._pairs:
            return False
        try:
            self._pairs[group] = groups.make_pair(self.hal, group)
        except (HalError, MemoryError):
            self._pairs[group] = None  # the exchange that needs one will try again, and say so
        return True

    def deadline(self):
        """The time of the next timer in ms, or None."""
        first = None
        for sa in self.sas:
            due = sa.deadline()
            if due is not None and (first is None or due < first):
                first = due
        return first

    def take_datagrams(self):
        """[(path, datagram)] to send, in order."""
        out, self._out = self._out, []
        return out

    def take_events(self):
        """[dict] of what happened, in order; each has "event". No secrets."""
        events, self._events = self._events, []
        return events

    # --- lent to the SAs ------------------------------------------------------------------------

    def key_pair(self, group):
        """(private exponent, public value) for one exchange, as bytearrays."""
        return self._pairs.pop(group, None) or groups.make_pair(self.hal, group)

    def transmit(self, sa, datagram):
        """Queue a message for an SA's peer: in fragments where both sides can and it is large."""
        both = sa.capable & set(sa.peer.capable)
        if len(datagram) <= wire.MAX_DATAGRAM or "fragmentation" not in both:
            self.send(sa.path, datagram)
            return
        from ike import fragments

        for part in fragments.split(datagram):
            self.send(sa.path, part)

    def send(self, path, datagram):
        """Queue a message; with the non-ESP marker where IKE shares the port with ESP."""
        if path[1] == self.natt_port:
            datagram = bytes(4) + datagram
        self.send_bare(path, datagram)

    def send_bare(self, path, datagram):
        self._out.append((path, datagram))

    def quietly(self, send, tell, function, *arguments):
        """Call a function of an SA; what it sends is forgotten unless `send`, what it tells unless
        `tell`."""
        out, events = len(self._out), len(self._events)
        function(*arguments)
        if not send:
            self._out = self._out[:out]
        if not tell:
            self._events = self._events[:events]

    def event(self, name, **data):
        data["event"] = name
        data["t_ms"] = self.clock()
        if len(self._events) < _MAX_EVENTS or name in _LASTING:
            self._events.append(data)

    def established(self, sa):
        self.contacted.add(sa.peer.name)
        if sa.first:
            self.halfopen.keep(self, sa)
        self.last_failure.pop(sa.peer.name, None)
        self.event(
            "established",
            peer=sa.peer.name,
            role="initiator" if sa.initiator else "responder",
            cookies=sa.cookies(),
            suite=sa.suite.name,
            auth=sa.peer.auth,
            lifetime=sa.lives[0],
            timings_ms={"total": self.clock() - sa.started, "modexp": sa.modexp_ms},
        )
        self._settle(sa, self.clock())

    def watch(self, sa, now, expires):
        """See to it that an SA lasts until then: when to ask its peer, and when to renew it."""
        sa.heard(now)
        if sa.peer.role != "responder":
            # After 80 to 90 % of the lifetime, by our cookie, which is random.
            tenth = (expires - now) // 10
            cookie = sa.cky_i if sa.initiator else sa.cky_r
            sa.renew_at = now + 8 * tenth + struct.unpack("!I", cookie[4:])[0] % (tenth + 1)

    def _settle(self, sa, now):
        """See to it that it is the peer's only one, and ends when it is used up."""
        if sa.lives[1] or sa.peer.lives[1]:
            from ike import lifetime

            sa.left = lifetime.limit(sa)
        if any(other.peer is sa.peer and other is not sa for other in self.sas):
            from ike import lifetime

            lifetime.replace(self, sa, now)

    def ask(self, sa, now):
        """Ask the peer of an SA whether he lives."""
        try:
            from ike import dpd

            dpd.of(sa).ask(now)
        except (HalError, MemoryError):
            self.drops.count("not-watched")  # it ends with its lifetime all the same
            sa.dpd_due = now + _AGAIN_MS

    def renew(self, sa, now):
        """Begin the phase 1 that is to replace an SA's."""
        from ike import lifetime

        try:
            lifetime.renew(self, sa, now)
        except (HalError, MemoryError):
            self.drops.count("not-renewed")

    def give_up(self, sa):
        """Forget an exchange that is not needed any more."""
        self.sas.remove(sa)
        rivals.discard(sa)
        sa.discard()

    def failed(self, sa, code, reason):
        was_last = rivals.ended(sa)  # MemoryError: nothing has ended yet
        self.sas.remove(sa)
        sa.discard()
        if was_last:
            self.unreached(sa.peer.name, code, reason)

    def unreached(self, name, code, reason):
        """An attempt to reach a peer has failed."""
        if not self.is_up(name):
            self.last_failure[name] = (code, reason, self.clock())
        self.event("failed", peer=name, code=code, reason=reason)

    def abandoned(self, sa):
        """An exchange that somebody began in a peer's name and did not go on with."""
        self.sas.remove(sa)
        waited = sa.state == "MAIN_R1"
        sa.discard()
        if waited and sa.first:
            self.halfopen.left(self, sa)

    def deleted(self, sa, by):
        self.sas.remove(sa)
        rivals.discard(sa)
        name = sa.peer.name
        self.event("deleted", peer=name, by=by, cookies=sa.cookies())
        if sa.state == "ESTABLISHED" and not self.is_up(name):
            self.last_down[name] = by, self.clock()
        sa.discard()

    def delete(self, sa, by):
        if sa.state == "ESTABLISHED" and not self.tell(informational.delete, sa) and by == "us":
            raise MemoryError  # there is time for another try
        self.deleted(sa, by)

    def tell(self, function, sa, *arguments):
        """Send an informational message if the crypto can, else what it tells happens all the
        same. False where it was memory that was short."""
        try:
            function(self, sa, *arguments)
        except (HalError, MemoryError) as error:
            self.drops.count("informational-not-sent")
            return isinstance(error, HalError)
        return True

    # --- the rest -------------------------------------------------------------------------------

    def _peer(self, name):
        for peer in self.peers:
            if peer.name == name:
                return peer
        raise Misuse("no peer named %s" % name)

    def cookie(self, path, now):
        """hash(addresses, ports, time, counter, secret): unforgeable, tied to the parties, unique
        (RFC 2408 section 2.5.3)."""
        self._cookies_made += 1
        text = "%s %d %s %d %d %d" % (path + (now, self._cookies_made))
        cookie = self.hal.hash("sha256", self.cookie_secret, text.encode())[:8]
        return cookie if cookie != wire.ZERO_COOKIE else self.cookie(path, now)

    def digest(self, datagram):
        return self.hal.hash("sha256", datagram)

    def digest_of(self, header, datagram):
        """Of a message, without the flags, some of which mean nothing: changed on the way, they
        make it no other."""
        content = memoryview(datagram)
        return self.hal.hash("sha256", content[:19], content[20 : header.length])

    def _drop(self, lines, reason, path, now):
        if reason != "unknown-peer":
            self.last_drop = now
        if lines and reason not in _NO_HINT:
            lines[0].hint = "last dropped: " + reason
        if self.drops.count(reason):
            data = {"from": "%s:%d" % (path[2], path[3])}
            self.event("drop", reason=reason, **data)
