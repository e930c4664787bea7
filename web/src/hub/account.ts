// The connection to the person's own account, where the hub's API is, and the keys that stand behind it.

import { Problem } from "../model.ts";
import type { Account, Hub, Keys } from "../ports.ts";
import { problemOf } from "./problem.ts";
import { connectAccount, Lost, type NatsWire } from "./wire.ts";

const tries = 4; // to ask, when the connection is lost meanwhile
const arriveTries = 3;
const skew = 10 * 60 * 1000;
const timeHeader = "Keyhall-Time";

/** HubAccount is the Account of ports.ts. */
export class HubAccount implements Account {
  readonly wire: NatsWire;
  #ahead = 0; // milliseconds
  #keys: Keys;
  readonly #arriving = new Set<(refused: boolean) => void>();

  /** failed hears of each try to connect that failed, and whether it was refused. */
  failed: (refused: boolean) => void = () => undefined;

  constructor(
    readonly hub: Hub,
    keys: Keys,
  ) {
    this.#keys = keys;
    this.wire = connectAccount(hub, keys, () => this.#keys.token, (refused) => {
      this.failed(refused);
      for (const failed of this.#arriving) failed(refused);
    });
  }

  /** arrived is when the first connection is made; so many tries that fail are its end. */
  async arrived(): Promise<void> {
    let left = arriveTries;
    const { promise, reject } = Promise.withResolvers<never>();
    const failed = (refused: boolean): void => {
      if (--left > 0) return;
      reject(refused ? new Problem("refused", "The hub does not let this device in.") : new Problem("unavailable", "The hub cannot be reached just now; try again."));
    };
    this.#arriving.add(failed);
    try {
      await Promise.race([this.wire.online(), promise]);
    } finally {
      this.#arriving.delete(failed);
    }
  }

  get keys(): Keys {
    return this.#keys;
  }

  /** renew takes the same person's keys after one of them changed: a token that was renewed, an xkey in front of the others. */
  renew(keys: Keys): void {
    this.#keys = keys;
  }

  readonly clock = (): number => this.#ahead;

  async call<T>(verb: string, request: unknown): Promise<T> {
    return this.#ask<T>(verb, JSON.stringify(request));
  }

  async send<T>(verb: string, event: Uint8Array): Promise<T> {
    return this.#ask<T>(verb, event);
  }

  async #ask<T>(verb: string, data: string | Uint8Array): Promise<T> {
    for (let left = tries; ; left--) {
      try {
        return await this.#once<T>(verb, data);
      } catch (error) {
        if (!(error instanceof Lost) || left === 1) throw this.#explained(problemOf(error));
      }
    }
  }

  async #once<T>(verb: string, data: string | Uint8Array): Promise<T> {
    const answer = await this.wire.ask(`hub.${verb}`, data, {
      heard: (headers) => {
        const at = Date.parse(headers(timeHeader)[0] ?? "");
        if (!Number.isNaN(at)) this.#ahead = at - Date.now();
      },
    });
    try {
      return answer.json<T>();
    } catch {
      throw new Problem("unavailable", "The hub answered something that cannot be read; try again later.");
    }
  }

  /** explained: what a hub refuses whose clock is far from this one, it refuses for that. */
  #explained(problem: Problem): Problem {
    const apart = Math.abs(this.clock());
    if (problem.code !== "refused" || apart <= skew) return problem;
    const minutes = Math.round(apart / 60_000);
    return new Problem("refused", `The clocks of this device and of the hub are ${minutes} minutes apart; set the wrong one right and try again.`);
  }
}
