// What the parts under model.ts need of one another, so that each can be read, and written, by itself.

import type { ReadonlySignal } from "@preact/signals";

/** Hub is the hub this page came from, after it proved itself (docs/protocol/keys.md). */
export interface Hub {
  /** id: O… */
  readonly id: string;
  /** operator JWT. */
  readonly operator: string;
  readonly signingKeys: readonly string[];
  /** fingerprint F of 16 bytes. */
  readonly fingerprint: Uint8Array;
  readonly origin: string;
  readonly socket: string;
  readonly sentinel: string;
  /** session: seconds that a connection to ROOMS lives at most. */
  readonly session: number;
}

/** Signer is a key that signs without being seen: WebCrypto's, not extractable. */
export interface Signer {
  /** text form: U… or A… */
  readonly text: string;
  readonly raw: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Opener is an xkey that opens boxes without being seen. */
export interface Opener {
  /** text: X… */
  readonly text: string;
  open(purpose: string, context: Uint8Array, box: Uint8Array): Promise<Uint8Array>;
}

/** Keys are what this browser holds of a person. */
export interface Keys {
  readonly account: string;
  readonly handle: string;
  readonly device: Signer;
  readonly token: string;
  /** identity, where this browser holds it. */
  readonly identity?: Signer;
  /** xkeys of the person, the newest first. */
  readonly xkeys: readonly Opener[];
}

/** Wire is a NATS connection that comes back by itself. */
export interface Wire {
  readonly state: ReadonlySignal<"online" | "connecting" | "offline" | "closed">;
  /** request asks and takes one answer; errors of the micro framework become Problems. */
  request(subject: string, data: Uint8Array | string, options?: { timeout?: number; headers?: Record<string, string> }): Promise<Uint8Array>;
  /** stream asks and hands over every answer, in order, to each until it says false or the empty message comes. */
  stream(subject: string, data: Uint8Array, each: (data: Uint8Array) => boolean | void, options?: { timeout?: number }): Promise<void>;
  publish(subject: string, data: Uint8Array, options?: { headers?: Record<string, string> }): void;
  /** subscribe hands over what comes; headers gives all values of a header. Returns what ends it. */
  subscribe(subject: string, each: (message: { subject: string; data: Uint8Array; headers(name: string): string[] }) => void, refused?: (why: string) => void): () => void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Account is the connection to the person's own account, and what stands on it. */
export interface Account {
  readonly hub: Hub;
  readonly keys: Keys;
  readonly wire: Wire;
  /** call asks the hub API: verb as "people.find", request and answer JSON. */
  call<T>(verb: string, request: unknown): Promise<T>;
  /** send is call with an event for a request. */
  send<T>(verb: string, event: Uint8Array): Promise<T>;
  /** clock is by how many milliseconds the hub's clock is ahead, as last heard. */
  readonly clock: () => number;
}

/** Store keeps values in IndexedDB, by person: chains, pins, marks, what was queued. Values are structured clones. */
export interface Store {
  get<T>(table: Table, key: string): Promise<T | undefined>;
  put(table: Table, key: string, value: unknown): Promise<void>;
  delete(table: Table, key: string): Promise<void>;
  all<T>(table: Table): Promise<[string, T][]>;
  /** wipe forgets everything of the person. */
  wipe(): Promise<void>;
}

export type Table = "keys" | "people" | "rooms" | "pins" | "marks" | "queue" | "settings";

/**
 * Book is what this browser has verified of people and rooms (web/src/hub/book.ts): their chains, followed from the first
 * event on, kept in the store, never behind the highest head that was seen. PersonState and RoomState are protocol/chain.ts's.
 */
export interface Book<PersonState, RoomState> {
  me(): Promise<PersonState>;
  /** person brings the chain up to date with the hub; known takes what is there already, however old. */
  person(account: string): Promise<PersonState>;
  known(account: string): Promise<PersonState | undefined>;
  find(handle: string): Promise<PersonState>;
  room(id: string): Promise<RoomState>;
  /** again reads a chain from its beginning: of an event whose body the hub withheld, rightly or not, nothing else is kept. */
  again(account: string): Promise<PersonState>;
  /**
   * append makes an event of one's own for one's chain, and again when somebody else was first. by: the identity, where only it
   * may sign. Bodies are plain values in the order of docs/protocol/ledger.md.
   */
  append(verb: "people" | "shares", type: string, body: (own: PersonState) => unknown | Promise<unknown>, by?: Signer): Promise<void>;
  appendRoom(room: string, type: string, body: (state: RoomState) => unknown | Promise<unknown>): Promise<void>;
}
