// nats-core asks its authenticator for a signature and cannot wait for one; WebCrypto signs only to who waits. So a
// connection's WebSocket holds the server's first words back until the nonce in them is signed.

import type { Signer } from "../ports.ts";
import { base64url, utf8 } from "../protocol/bytes.ts";

const hello = /^INFO\s+([^\r\n]+)\r\n/i;
const helloLimit = 64 << 10;

/** Pen signs the nonces of one connection, and keeps the signature of the newest for who asks. */
export class Pen {
  #nonce: string | undefined;
  #signature = "";

  constructor(private readonly key: Signer) {}

  async sign(nonce: string): Promise<void> {
    const signature = base64url.write(await this.key.sign(utf8(nonce)));
    this.#nonce = nonce;
    this.#signature = signature;
  }

  /** signature of a nonce that was signed before; of any other, none. */
  signature(nonce: string | undefined): string {
    return nonce !== undefined && nonce === this.#nonce ? this.#signature : "";
  }
}

/** SignedSocket is as much of a WebSocket as nats-core uses. */
export class SignedSocket {
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;

  readonly #socket: WebSocket;
  readonly #pen: Pen;
  #held: Uint8Array[] | undefined = [];

  constructor(url: string, pen: Pen) {
    this.#pen = pen;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = (event) => this.onopen?.(event);
    this.#socket.onmessage = (event) => this.#receive(event.data as ArrayBuffer);
    this.#socket.onclose = (event) => this.onclose?.(event);
    this.#socket.onerror = (event) => this.onerror?.(event);
  }

  set binaryType(_: string) {} // it is what nats-core wants already

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: ArrayBuffer): void {
    this.#socket.send(data);
  }

  close(): void {
    this.#socket.close();
  }

  #receive(data: ArrayBuffer): void {
    if (!this.#held) {
      this.onmessage?.({ data });
      return;
    }
    this.#held.push(new Uint8Array(data));
    const nonce = nonceOf(this.#held);
    if (nonce === undefined) return;
    const done = (): void => this.#release();
    this.#pen.sign(nonce).then(done, done); // what could not be signed, the server refuses
  }

  /** release hands over what was held; nothing is held again. */
  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const part of held) this.onmessage?.({ data: part.slice().buffer });
  }
}

/** nonceOf is the nonce in the server's first line: "" where there is none, undefined while the line is not whole. */
function nonceOf(parts: readonly Uint8Array[]): string | undefined {
  const text = parts.map((part) => new TextDecoder().decode(part)).join("");
  const found = hello.exec(text);
  if (!found) return text.length > helloLimit ? "" : undefined;
  try {
    const { nonce } = JSON.parse(found[1] ?? "") as { nonce?: unknown };
    return typeof nonce === "string" ? nonce : "";
  } catch {
    return "";
  }
}
