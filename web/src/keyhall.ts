// A hub as the pages see it (Keyhall of model.ts): how far this browser is, who is in, and how it came to that. It is also the
// house that the door leads into.

import { signal } from "@preact/signals";

import { HubDoor } from "./door/door.ts";
import { type House, renewToken, type Visit, visit } from "./door/house.ts";
import { leftFor } from "./door/provider.ts";
import { exclusively } from "./hub/chains.ts";
import { discover } from "./hub/discovery.ts";
import { ask } from "./hub/http.ts";
import { problemOf } from "./hub/problem.ts";
import { currentSession, openSession, revokedPage } from "./hub/session.ts";
import { type Config, type Keyhall, type Notice, type Person, Problem, type Stage } from "./model.ts";
import { HubPerson } from "./person.ts";
import type { Hub } from "./ports.ts";
import { lacks, lacksCurves, noStore } from "./vault/able.ts";
import { Database } from "./vault/database.ts";
import { type Held, keysOf } from "./vault/held.ts";

const lookAgain = 5_000; // between two looks whether the session still stands

/** Word is what the tabs of one browser tell each other. */
type Word = { keyhall: "in" } | { keyhall: "out"; ended?: string } | { keyhall: "keys" };

const signedOut = "This browser was signed out from another of your devices. Its keys are gone; sign in again to come back.";

/** HubKeyhall is the Keyhall of model.ts. */
export class HubKeyhall implements Keyhall, House {
  readonly stage = signal<Stage>({ at: "starting" });
  readonly network = signal<"online" | "connecting" | "offline">("connecting");
  readonly notices = signal<readonly Notice[]>([]);
  readonly person = signal<Person | undefined>(undefined);
  readonly door = new HubDoor(this);
  #database: Database | undefined;
  #hub: Promise<Hub> | undefined;
  #config: Config = {};
  #held: Held | undefined;
  #visit: Visit | undefined;
  #leave: (() => void) | undefined;
  #looked = 0;
  #noted = 0;
  readonly #tabs = new BroadcastChannel("keyhall");

  /** begin looks how far this browser is, and goes on from there. */
  async begin(): Promise<void> {
    this.#tabs.onmessage = ({ data }: MessageEvent<Word>) => void this.#heard(data).catch((error: unknown) => this.#unable(problemOf(error).message));
    for (const change of ["online", "offline"]) globalThis.addEventListener(change, () => this.#networked());
    const lack = lacks();
    if (lack) return this.#unable(lack);
    try {
      this.#database = await Database.open();
    } catch {
      return this.#unable(noStore);
    }
    await this.#start().catch((error: unknown) => this.#unable(problemOf(error).message));
  }

  #unable(why: string): void {
    this.stage.value = { at: "unable", why };
  }

  async #start(): Promise<void> {
    const config = ask<Config>("GET", "/api/config").catch((): Config => ({}));
    const hub = this.hub();
    const held = await this.database.get<Held>("person");
    if (held) {
      const session = await this.#session(held);
      this.#config = await config;
      return this.#comeBack(await hub, held, session);
    }
    const lack = await lacksCurves();
    if (lack) return this.#unable(lack);
    await this.#proved(hub);
    await this.#endSession();
    this.#config = await config;
    this.#networked();
    this.stage.value = { at: "out", config: this.#config };
  }

  /** proved: that it is not the hub from before is known before somebody types a name; one that is away may come back. */
  async #proved(hub: Promise<Hub>): Promise<void> {
    try {
      await hub;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "unavailable") throw error;
    }
  }

  get database(): Database {
    if (!this.#database) throw new Problem("unavailable", "This page is still starting; try again in a moment.");
    return this.#database;
  }

  hub(): Promise<Hub> {
    const pins = {
      pin: () => this.database.get<{ id: string; operator: string; document: string }>("hub"),
      setPin: (pin: unknown) => this.database.put("hub", pin),
    };
    this.#hub ??= discover(pins, location.origin);
    this.#hub.catch(() => (this.#hub = undefined)); // the next who needs it asks again
    return this.#hub;
  }

  /** session says whether the cookie is of a session of this device; "away" where nobody says. */
  async #session(held: Held): Promise<boolean | "away"> {
    try {
      return (await currentSession())?.device === keysOf(held).device.text;
    } catch {
      return "away";
    }
  }

  /** comeBack: who has keys here is in, unless the hub or the person's own chain says that they were put out. */
  async #comeBack(hub: Hub, held: Held, session: boolean | "away"): Promise<void> {
    if (session !== false) {
      await this.#bind();
      this.#enter(held, visit(this, hub, held));
      return;
    }
    try {
      await this.#openSession(hub, held);
      this.#enter(held, visit(this, hub, held));
    } catch (error) {
      await this.#noSession(hub, held, problemOf(error));
    }
  }

  /** bind is for who comes back from the provider to bind their login there. */
  async #bind(): Promise<void> {
    if (!leftFor("bind")) return;
    try {
      await ask("POST", "/api/oidc/bind");
      this.#note("done", "Your login at the provider is yours here from now on.");
    } catch (error) {
      this.#note("problem", problemOf(error).message);
    }
  }

  /** openSession opens one, unless another tab did meanwhile: a device has one, and the next takes its place. */
  #openSession(hub: Hub, held: Held): Promise<void> {
    return exclusively("keyhall session", async () => {
      if ((await this.#session(held)) !== true) await openSession(hub, keysOf(held));
    });
  }

  /** noSession: only a device that was revoked on the chain has its keys taken. */
  async #noSession(hub: Hub, held: Held, why: Problem): Promise<void> {
    const by = visit(this, hub, held);
    if (why.code === "refused" && (await this.#wasRevoked(by))) return this.#putOut(by, signedOut);
    this.#enter(held, by);
    const advice = why.code === "refused" ? " Ask who runs the hub, and do not sign out unless your password, another device or your recovery code brings you back." : "";
    this.#note(why.code === "unavailable" ? "warning" : "problem", `You are in, but not in the rooms: the hub opens no session for this browser. ${why.message}${advice}`);
  }

  /** wasRevoked says whether the person has revoked this device. A hub that refuses it is not enough: it has to show where that was signed. */
  async #wasRevoked({ account, book }: Visit): Promise<boolean> {
    const { hub, keys } = account;
    return book.wasRevoked(keys.device.text, (after) => revokedPage(hub, keys, after)).catch(() => false);
  }

  /** settle is where the door leads: the keys are kept, and the person is in. They take the place of nobody's. */
  async settle(held: Held, by: Visit): Promise<void> {
    const there = await this.database.get<Held>("person");
    if (there && there.account !== held.account) {
      throw new Problem("taken", `${there.handle} has come in meanwhile in another tab of this browser; sign out there first.`);
    }
    await this.database.put("person", held);
    await this.database.delete("unended"); // this person's session has taken its place
    this.#enter(held, by);
    this.#tell({ keyhall: "in" });
    void navigator.storage?.persist?.().catch(() => false);
  }

  #enter(held: Held, by: Visit): void {
    this.#held = held;
    this.#visit = by;
    this.#leave?.();
    by.account.failed = (refused) => void this.#look(refused);
    this.#leave = by.account.wire.state.subscribe(() => this.#networked());
    this.person.value = new HubPerson(held, by, {
      note: ({ message }) => this.#note("problem", message),
      keep: (changed) => this.#keep(changed),
      leave: () => this.#signOut(),
      tell: (problem) => this.#note("problem", problem.message),
    });
    this.stage.value = { at: "in", config: this.#config };
    void this.#afterwards(by);
  }

  /** networked: without a network nothing is online, whatever a connection still hopes. */
  #networked(): void {
    const state = this.#visit?.account.wire.state.peek() ?? "online"; // who is out has no connection to lose
    if (state !== "closed") this.network.value = navigator.onLine ? state : "offline";
  }

  /** afterwards does what nobody has to wait for. */
  async #afterwards(by: Visit): Promise<void> {
    try {
      await by.account.arrived();
    } catch {
      return; // look finds out why, and the next visit does it
    }
    try {
      const token = await exclusively("keyhall token", () => renewToken(by));
      if (!token || this.#visit !== by) return;
      await this.#keep({ token });
      if (this.#held) await this.#openSession(by.account.hub, this.#held); // for the one before, the hub opens none
    } catch (error) {
      const problem = problemOf(error);
      if (problem.code !== "unavailable" && this.#visit === by) this.#note("warning", problem.message);
    }
  }

  /** keep keeps what changed of the keys. */
  async #keep(changed: Partial<Held>): Promise<void> {
    if (!this.#held || !this.#visit) return;
    this.#held = { ...this.#held, ...changed };
    this.#visit.account.renew(keysOf(this.#held));
    await this.database.put("person", this.#held);
    this.#tell({ keyhall: "keys" });
  }

  /** look: a connection that does not come back may have been cut because the session was ended. */
  async #look(refused: boolean): Promise<void> {
    const [held, by] = [this.#held, this.#visit];
    if (!held || !by || (!refused && Date.now() - this.#looked < lookAgain)) return;
    this.#looked = Date.now();
    try {
      if ((await this.#session(held)) === false) await this.#openSession(by.account.hub, held);
    } catch (error) {
      if (problemOf(error).code !== "refused" || this.#visit !== by) return;
      if ((await this.#wasRevoked(by)) && this.#visit === by) await this.#putOut(by, signedOut);
    }
  }

  /** signOut ends what can be ended while there is a network, and forgets the keys in any case. */
  async #signOut(): Promise<void> {
    const by = this.#visit;
    this.#visit = undefined; // whatever is cut now, is cut for this
    await this.database.put("unended", true);
    if (by && by.account.wire.state.peek() === "online") {
      const device = by.account.keys.device.text;
      const cut = new Promise<void>((resolve) => by.account.wire.state.subscribe((state) => state !== "online" && resolve()));
      const revoked = by.book.append("people", "person.revoke", () => ({ device })).catch(() => undefined);
      await Promise.race([revoked, cut, new Promise((resolve) => setTimeout(resolve, lookAgain))]);
      await this.#endSession(); // it ended with the device, and the cookie goes
    }
    await this.#putOut(by);
  }

  /** endSession ends the session of somebody who has signed out: now, or where the hub was away then, at the next start. */
  async #endSession(): Promise<void> {
    if (!(await this.database.get<boolean>("unended"))) return;
    const ended = await ask("DELETE", "/api/session").then(() => true, (error: unknown) => problemOf(error).code === "refused");
    if (ended) await this.database.delete("unended");
  }

  async #putOut(by: Visit | undefined, ended?: string): Promise<void> {
    await by?.account.wire.close(); // nobody writes any more what is forgotten now
    await this.#forget(by);
    this.#out(ended);
    this.#tell({ keyhall: "out", ...(ended ? { ended } : {}) });
  }

  async #forget(by: Visit | undefined): Promise<void> {
    const held = this.#held ?? (await this.database.get<Held>("person"));
    for (const own of ["person", "pending", "comeback"] as const) await this.database.delete(own);
    if (held) await (by?.store ?? this.database.of(held.account)).wipe();
  }

  /** left is out for a tab that hears so from another: what it has written meanwhile goes too, unless somebody is in again. */
  async #left(ended?: string): Promise<void> {
    const store = this.#visit?.store;
    this.#out(ended);
    if (!(await this.database.get<Held>("person"))) await store?.wipe();
  }

  #out(ended?: string): void {
    const by = this.#visit;
    this.#leave?.();
    this.#leave = this.#visit = this.#held = undefined;
    this.person.value = undefined;
    this.stage.value = { at: "out", config: this.#config, ...(ended ? { ended } : {}) };
    void by?.account.wire.close();
  }

  #tell(word: Word): void {
    this.#tabs.postMessage(word);
  }

  /** heard is what another tab of this browser did. */
  async #heard(word: Word): Promise<void> {
    const { at } = this.stage.peek();
    if (word.keyhall === "out" && at === "in") return this.#left(word.ended);
    if (word.keyhall === "in" && at === "out") return this.#start();
    const held = word.keyhall === "keys" && at === "in" ? await this.database.get<Held>("person") : undefined;
    if (!held || !this.#visit) return;
    this.#held = held;
    this.#visit.account.renew(keysOf(held));
  }

  #note(kind: Notice["kind"], text: string): void {
    this.notices.value = [...this.notices.peek(), { id: ++this.#noted, kind, text }];
  }

  dismiss(notice: Notice): void {
    this.notices.value = this.notices.peek().filter(({ id }) => id !== notice.id);
  }
}
