// What a reader between programs says of an event, and the keys of private streams (docs/protocol/streams.md).

import { base64, equal, hex, need, Refused, unhex } from "../../src/protocol/bytes.ts";
import { bytes as bytesType, hash as hashType, map, object, type Of, optional, parse, string } from "../../src/protocol/canonical.ts";
import { openEpochKey } from "../../src/protocol/epoch.ts";
import * as events from "../../src/protocol/event.ts";
import { keyText } from "../../src/protocol/keys.ts";
import { type Access, believe, type Envelope, follow, goodAt, hashText, parseAccess } from "./streams.ts";

/** Rules are what a reader believes and takes; times are milliseconds. */
export interface Rules {
  accounts: readonly string[];
  operators: readonly string[];
  digest: number;
  skew: number;
  life: number;
  /** is: the audiences that the reader is. */
  is: readonly string[];
}

/** Revocation is from when on a device is not believed; last are the places up to which it is, by subject. */
export interface Revocation {
  after: number;
  last?: Record<string, { seq: string; hash: string }>;
}

/** At is when an event is judged; stored is when a stream took it, acts whether something is done because of it. */
export interface At {
  now: number;
  stored?: number;
  acts?: boolean;
}

const usual: Rules = { accounts: [], operators: [], digest: 0, skew: 600000, life: 0, is: [] };

/** Reader judges events by its rules; find is its way to find access tokens. */
export class Reader {
  readonly rules: Rules;
  /** revoked by device, in hex. */
  readonly revoked = new Map<string, Revocation>();

  constructor(
    rules: Partial<Rules>,
    readonly find: (which: Uint8Array) => string | undefined = () => undefined,
  ) {
    this.rules = { ...usual, ...rules };
  }

  /** verify judges an event with what travels beside it, at {now, stored?, acts?}. */
  async verify({ ev, access, which, trail }: Envelope, at: At): Promise<void> {
    const token = await this.#resolve(access, which);
    await this.check(ev, token, at);
    await follow(trail, ev, this.rules.skew);
    for (const hop of trail) {
      const of = await this.#resolve(undefined, hop.access);
      need((hop.ev.digest ?? 0) === this.rules.digest, "digest");
      await events.checkWithheld(hop.ev);
      this.#publisher(hop.ev, of);
      await this.#notRevoked(hop.ev, Number(hop.ev.time));
    }
  }

  async #resolve(inline: string | undefined, which: Uint8Array): Promise<Access> {
    const said = inline ?? this.find(which);
    need(said !== undefined, "not found", "no such access token");
    const access = await parseAccess(said);
    need(equal(access.hash, which), "access", "another one");
    return access;
  }

  /** check judges an event by the access token of its publisher. */
  async check(ev: events.Event, access: Access, { now, stored, acts = false }: At): Promise<void> {
    const { digest, is } = this.rules;
    need((ev.digest ?? 0) === digest, "digest");
    await events.check(ev);
    this.#publisher(ev, access);
    await this.#notRevoked(ev, stored ?? now);
    need(ev.audience === "" || is.includes(ev.audience), "not-meant", "for somebody else");
    this.#time(ev, now, stored, acts);
  }

  #publisher(ev: events.Event, access: Access): void {
    need(equal(access.device, ev.device) && equal(access.account, ev.author), "access", "another publisher's");
    believe(access, this.rules);
    goodAt(access, Number(ev.time), this.rules.skew);
  }

  async #notRevoked(ev: events.Event, seen: number): Promise<void> {
    const from = this.revoked.get(hex(ev.device));
    if (from === undefined) return;
    const last = from.last?.[ev.subject];
    if (last === undefined) {
      need(Number(ev.time) <= from.after && seen <= from.after + this.rules.skew, "revoked");
      return;
    }
    const seq = BigInt(last.seq);
    need(ev.seq > 0n && ev.seq <= seq, "revoked", "beyond the last good place");
    need(ev.seq < seq || equal(await events.eventHash(ev), unhex(last.hash)), "revoked", "another at the last good place");
  }

  #time(ev: events.Event, now: number, stored: number | undefined, acts: boolean): void {
    const { skew, life } = this.rules;
    const [at, end] = [Number(ev.time), Number(ev.notAfter)];
    need(at <= now + skew, "time", "from the future");
    need(stored === undefined || Math.abs(at - stored) <= skew, "time", "away from when it was stored");
    need(life === 0 || (end !== 0 && end - at <= life), "time", "too long a life");
    need(!acts || end === 0 || now <= end, "time", "past its end");
    need(stored !== undefined || end !== 0 || now - at <= skew, "time", "too old");
  }
}

// Private streams.

const epochType = object({ commitment: hashType, boxes: map(bytesType), previous: optional(hashType) });
const grantType = object({ reader: string, boxes: map(bytesType) });
const maxReaders = 2000;

interface Epoch {
  commitment: Uint8Array;
  readers: Set<string>;
  key?: Uint8Array;
}

/** Ring has the keys of a private stream that the holder of an xkey may read. */
export class Ring {
  /** epochs by the hash of their event. */
  readonly epochs = new Map<string, Epoch>();
  current: string | undefined;

  constructor(
    readonly subject: string,
    readonly keepers: readonly string[],
    readonly xkey: Uint8Array,
    readonly own: string,
    readonly judge: Reader,
  ) {}

  /** take folds an event of the keys subject. */
  async take(envelope: Envelope, stored: number): Promise<void> {
    const { ev } = envelope;
    await this.judge.verify(envelope, { now: stored, stored });
    need(ev.subject === this.subject && this.keepers.includes(keyText("A", ev.author)), "untrusted", "no keeper's");
    if (ev.type === "epoch") await this.#begin(ev);
    else if (ev.type === "epoch.grant") await this.#grant(parse(grantType, ev.body, "malformed"));
    else throw new Refused("not-meant", "type");
  }

  async #begin(ev: events.Event): Promise<void> {
    const { commitment, boxes, previous } = parse(epochType, ev.body, "malformed");
    const name = hex(await events.eventHash(ev));
    if (this.epochs.has(name)) return;
    need(previous === this.current, "malformed", "it does not follow the current epoch");
    need(Object.keys(boxes).length <= maxReaders, "malformed", "too many readers");
    const epoch: Epoch = { commitment: unhex(commitment), readers: new Set(Object.keys(boxes)) };
    if (Object.hasOwn(boxes, this.own)) epoch.key = await this.#open(epoch, boxes[this.own]!);
    this.epochs.set(name, epoch);
    this.current = name;
  }

  async #grant({ reader, boxes }: Of<typeof grantType>): Promise<void> {
    for (const name of Object.keys(boxes)) need(hashText.test(name) && this.epochs.has(name), "malformed", "no such epoch");
    for (const [name, box] of Object.entries(boxes)) {
      const epoch = this.epochs.get(name)!;
      if (name === this.current) epoch.readers.add(reader);
      if (reader === this.own) epoch.key ??= await this.#open(epoch, box);
    }
  }

  /** #open is the key in a box, undefined for one that does not open. */
  async #open(epoch: Epoch, box: string): Promise<Uint8Array | undefined> {
    try {
      return await openEpochKey(this.xkey, this.subject, epoch.commitment, base64.read(box, "box"));
    } catch (error) {
      if (error instanceof Refused) return undefined;
      throw error;
    }
  }

  get readers(): string[] {
    return this.current === undefined ? [] : [...this.epochs.get(this.current)!.readers].sort();
  }

  /** read is the plaintext of an event of the stream. */
  async read(ev: events.Event): Promise<Uint8Array> {
    const key = this.epochs.get(hex(ev.epoch))?.key;
    need(key !== undefined, "no-key");
    return events.openBody(ev, key);
  }
}
