// A NATS connection through the hub's WebSocket that comes back by itself, for as long as it is wanted.

import { errors, headers as natsHeaders, nuid, wsconnect } from "@nats-io/nats-core";
import type { Msg, MsgHdrs, NatsConnection, Subscription } from "@nats-io/nats-core";
import { signal } from "@preact/signals";

import { Problem } from "../model.ts";
import type { Hub, Keys, Signer, Wire } from "../ports.ts";
import { problemOf, said } from "./problem.ts";
import { currentSession } from "./session.ts";
import { Pen, SignedSocket } from "./socket.ts";

const answerTime = 10_000;
const dialTime = 30_000; // with the wait before it
const firstWait = 1_000; // before coming back, at most
const laterWait = 8_000; // and when that failed: after a restart everybody comes back at once
const pingEvery = 20_000;

/** Login says as whom a connection logs in. */
export interface Login {
  name: string;
  /** user is what the callout is told; empty in a person's own account. */
  user?: string;
  jwt: () => string;
  key: Signer;
  /** once: a connection that cannot be made at first is not tried again. */
  once?: boolean;
  /** failed hears of each try to connect that failed, and whether the server refused the login. */
  failed?: (refused: boolean) => void;
}

/** Lost is the problem of a request whose connection was lost before its answer: it may be asked again. */
export class Lost extends Problem {
  constructor() {
    super("unavailable", "The connection to the hub was lost before it answered; try again.");
  }
}

type Received = { subject: string; data: Uint8Array; headers(name: string): string[] };

/** Listener is a subscription that outlives its connections. */
interface Listener {
  subject: string;
  callback: (error: Error | null, message: Msg) => void;
  on?: Subscription;
}

/** NatsWire is the Wire of ports.ts. */
export class NatsWire implements Wire {
  readonly state = signal<"online" | "connecting" | "offline" | "closed">("connecting");
  readonly #hub: Hub;
  readonly #login: Login;
  readonly #pen: Pen;
  #connection: NatsConnection | undefined;
  #online = Promise.withResolvers<NatsConnection>();
  #lost = Promise.withResolvers<never>();
  #listeners = new Set<Listener>();
  #streams: Streams | undefined;
  #tries = 0; // to connect, since it was online last
  #wasRefused = false;
  #hurry: (() => void) | undefined;

  constructor(hub: Hub, login: Login) {
    this.#hub = hub;
    this.#login = login;
    this.#pen = new Pen(login.key);
    this.#quiet();
    globalThis.addEventListener?.("online", this.#network);
  }

  /** begin makes the first connection; without once, it goes on trying behind the caller's back. */
  async begin(): Promise<void> {
    if (this.#login.once) return this.#connect();
    void this.#insist();
  }

  async #insist(): Promise<void> {
    while (this.state.peek() !== "closed" && !this.#connection) {
      await this.#connect().catch(() => undefined); // its state says so
    }
  }

  async #connect(): Promise<void> {
    const { name, jwt, user, key } = this.#login;
    try {
      const connection = await wsconnect({
        servers: this.#hub.socket,
        name,
        inboxPrefix: `_INBOX_${key.text}`,
        authenticator: (nonce?: string) => ({ jwt: jwt(), sig: this.#pen.signature(nonce), ...(user ? { user } : {}) }),
        wsFactory: () => this.#dial(),
        timeout: dialTime,
        pingInterval: pingEvery,
        maxPingOut: 2,
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => 0, // dial waits
        ignoreAuthErrorAbort: true,
        ignoreClusterUpdates: true,
        noAsyncTraces: true,
      });
      if (this.state.peek() === "closed") return void connection.close();
      this.#connection = connection;
      void this.#watch(connection);
      for (const listener of this.#listeners) this.#listen(connection, listener);
      this.#isOnline(connection);
    } catch (error) {
      this.#wasRefused = error instanceof errors.AuthorizationError;
      if (this.#login.once) {
        void this.close();
        throw problemOf(error);
      }
    }
  }

  /** dial makes a socket; it never fails, for nats-core would wait for that one's end for ever. */
  async #dial(): Promise<{ socket: WebSocket; encrypted: boolean }> {
    const again = this.#tries > 0;
    if (again) this.#failed();
    if (again || this.#connection) await this.#pause(again ? laterWait : firstWait);
    this.#tries++;
    const socket = new SignedSocket(this.#hub.socket, this.#pen) as unknown as WebSocket;
    return { socket, encrypted: this.#hub.socket.startsWith("wss:") };
  }

  #failed(): void {
    if (this.state.peek() !== "closed") this.state.value = "offline";
    this.#login.failed?.(this.#wasRefused);
    this.#wasRefused = false;
  }

  /** pause waits for some time up to limit, or until the browser says that it is online again. */
  #pause(limit: number): Promise<void> {
    const wait = Math.random() * limit;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit === laterWait ? firstWait + wait * 0.875 : wait);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  readonly #network = (): void => this.#hurry?.();

  /** watch follows what nats-core tells of a connection, until it is closed. */
  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") this.#isLost();
      else if (status.type === "reconnect") this.#isOnline(connection);
      else if (status.type === "error" && !(status.error instanceof errors.PermissionViolationError)) {
        this.#wasRefused = status.error instanceof errors.AuthorizationError;
      }
    }
  }

  #isOnline(connection: NatsConnection): void {
    if (this.state.peek() === "closed") return;
    this.#tries = 0;
    this.#online.resolve(connection);
    this.state.value = "online";
  }

  #isLost(): void {
    if (this.state.peek() === "closed") return;
    this.#lost.reject(new Lost());
    this.#lost = Promise.withResolvers();
    this.#online = Promise.withResolvers();
    this.#quiet();
    this.state.value = "connecting";
  }

  /** quiet: that nobody waits for one of these is no error. */
  #quiet(): void {
    this.#online.promise.catch(() => undefined);
    this.#lost.promise.catch(() => undefined);
  }

  /** online is when there is a connection next; it fails when it is closed before. */
  async online(): Promise<void> {
    await this.#online.promise;
  }

  /** ready is the connection, once there is one, or the problem that there is none in time. */
  async #ready(timeout: number): Promise<NatsConnection> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Problem("unavailable", "The hub cannot be reached just now; try again when you are online.")), timeout);
    });
    try {
      return await Promise.race([this.#online.promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** ask is request with all of the answer; heard sees its headers, also those of a refusal. */
  async ask(
    subject: string,
    data: Uint8Array | string,
    options?: { timeout?: number; headers?: Record<string, string>; heard?: (headers: (name: string) => string[]) => void },
  ): Promise<Msg> {
    const timeout = options?.timeout ?? answerTime;
    const connection = await this.#ready(timeout);
    try {
      const answer = await Promise.race([connection.request(subject, data, { timeout, ...withHeaders(options?.headers) }), this.#lost.promise]);
      options?.heard?.(received(answer).headers);
      const problem = said(answer);
      if (problem) throw problem;
      return answer;
    } catch (error) {
      throw problemOf(error);
    }
  }

  async request(subject: string, data: Uint8Array | string, options?: { timeout?: number; headers?: Record<string, string> }): Promise<Uint8Array> {
    return (await this.ask(subject, data, options)).data;
  }

  async stream(subject: string, data: Uint8Array, each: (data: Uint8Array) => boolean | void, options?: { timeout?: number }): Promise<void> {
    const timeout = options?.timeout ?? answerTime;
    const connection = await this.#ready(timeout);
    if (!this.#streams) {
      this.#streams = new Streams(this.#login.key.text);
      this.subscribe(this.#streams.subject, this.#streams.receive);
    }
    const { reply, done } = this.#streams.open(each, timeout);
    try {
      connection.publish(subject, data, { reply });
      await Promise.race([done, this.#lost.promise]);
    } catch (error) {
      throw problemOf(error);
    } finally {
      this.#streams.close(reply);
    }
  }

  publish(subject: string, data: Uint8Array, options?: { headers?: Record<string, string>; reply?: string }): void {
    const connection = this.#connection;
    if (!connection) return;
    connection.publish(subject, data, { ...withHeaders(options?.headers), ...(options?.reply ? { reply: options.reply } : {}) });
  }

  subscribe(subject: string, each: (message: Received) => void, refused?: (why: string) => void): () => void {
    const callback = (error: Error | null, message: Msg): void => {
      if (!error) return each(received(message));
      this.#listeners.delete(listener);
      refused?.(error.message);
    };
    const listener: Listener = { subject, callback };
    this.#listeners.add(listener);
    if (this.#connection) this.#listen(this.#connection, listener);
    return () => {
      this.#listeners.delete(listener);
      listener.on?.unsubscribe();
    };
  }

  #listen(connection: NatsConnection, listener: Listener): void {
    if (connection.isClosed()) return;
    listener.on = connection.subscribe(listener.subject, { callback: listener.callback });
  }

  async flush(): Promise<void> {
    const connection = await this.#ready(answerTime);
    await Promise.race([connection.flush(), this.#lost.promise]).catch((error: unknown) => {
      throw problemOf(error);
    });
  }

  async close(): Promise<void> {
    if (this.state.peek() === "closed") return;
    this.state.value = "closed";
    globalThis.removeEventListener?.("online", this.#network);
    const closed = new Problem("cancelled", "The connection to the hub was closed.");
    this.#online.reject(closed);
    this.#lost.reject(closed as never);
    this.#hurry?.();
    await this.#connection?.close();
  }
}

/** Streams are the answers of many messages that are under way: one subscription hears them all. */
class Streams {
  readonly #prefix: string;
  readonly #open = new Map<string, (message: Received) => void>();

  constructor(key: string) {
    this.#prefix = `_INBOX_${key}.${nuid.next()}.`;
  }

  get subject(): string {
    return `${this.#prefix}*`;
  }

  readonly receive = (message: Received): void => this.#open.get(message.subject)?.(message);

  /** open begins one; done when it has ended. */
  open(each: (data: Uint8Array) => boolean | void, timeout: number): { reply: string; done: Promise<void> } {
    const reply = this.#prefix + nuid.next();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = (): void => reject(new Problem("unavailable", "No answer came in time; try again."));
    let timer = setTimeout(late, timeout);
    this.#open.set(reply, (message) => {
      clearTimeout(timer);
      const problem = said(message);
      if (problem) return reject(problem);
      try {
        if (message.data.length === 0 || each(message.data) === false) return resolve();
      } catch (error) {
        return reject(error);
      }
      timer = setTimeout(late, timeout);
    });
    promise.catch(() => undefined).finally(() => clearTimeout(timer));
    return { reply, done: promise };
  }

  close(reply: string): void {
    this.#open.delete(reply);
  }
}

/** withHeaders are the options of a message with headers, if there are any. */
function withHeaders(values: Record<string, string> | undefined): { headers?: MsgHdrs } {
  if (!values) return {};
  const headers = natsHeaders();
  for (const [name, value] of Object.entries(values)) headers.set(name, value);
  return { headers };
}

const received = (message: Msg): Received => ({
  subject: message.subject,
  data: message.data,
  headers: (name) => (name === "Status" ? (message.headers?.code ? [String(message.headers.code)] : []) : (message.headers?.values(name) ?? [])),
});

/** connectAccount connects to the person's own account; token is asked for at every login, as it is renewed. */
export function connectAccount(hub: Hub, keys: Keys, token: () => string, failed: (refused: boolean) => void): NatsWire {
  const wire = new NatsWire(hub, { name: "keyhall web", jwt: token, key: keys.device, failed });
  void wire.begin();
  return wire;
}

/** connectRooms connects to ROOMS, with the rights for these rooms (64 at most). It begins at once and comes back by itself. */
export function connectRooms(hub: Hub, keys: Keys, rooms: readonly string[]): Wire {
  const user = `rooms ${keys.device.text} ${rooms.join(",")}`;
  const wire = new NatsWire(hub, { name: "keyhall web rooms", user, jwt: () => hub.sentinel, key: keys.device });
  void wire.begin();
  return wire;
}

/** connectGuest connects as somebody who may ask one thing only: to be admitted, or for a backup. */
export function connectGuest(hub: Hub, as: "admit" | "recover", key: Signer): Promise<Wire> {
  return withoutDead(async () => {
    const wire = new NatsWire(hub, { name: `keyhall web ${as}`, user: `${as} ${key.text}`, jwt: () => hub.sentinel, key, once: true });
    await wire.begin();
    return wire;
  });
}

/**
 * withoutDead connects, and once more without the cookie of a session that is no more: the hub refuses a WebSocket that brings
 * one, and takes it away where it is asked for the session.
 */
export async function withoutDead<T>(connect: () => Promise<T>): Promise<T> {
  try {
    return await connect();
  } catch (error) {
    if (problemOf(error).code !== "unavailable" || (await currentSession().catch(() => true))) throw error;
    return connect();
  }
}
