// Who is in, and what they have (Person of model.ts).

import type { Visit } from "./door/house.ts";
import { SharedCatalogs } from "./catalogs/catalogs.ts";
import type { Catalogs, People, Person, Problem, Rooms, Security } from "./model.ts";
import { HubPeople } from "./people.ts";
import { HubRooms } from "./rooms/rooms.ts";
import { HubSecurity } from "./security.ts";
import type { Held } from "./vault/held.ts";

/** Home is what a person does with the browser they are in. */
export interface Home {
  /** note shows a problem that nobody waits for. */
  note(problem: Problem): void;
  keep(changed: Partial<Held>): Promise<void>;
  leave(): Promise<void>;
  /** tell shows what went wrong behind the pages' back. */
  tell(problem: Problem): void;
}

/** HubPerson is the Person of model.ts. */
export class HubPerson implements Person {
  readonly rooms: Rooms;
  readonly people: People;
  readonly catalogs: Catalogs;
  readonly security: Security;
  readonly handle: string;
  readonly account: string;
  readonly device: string;
  readonly fingerprint: string;
  readonly #home: Home;

  constructor(held: Held, by: Visit, home: Home) {
    const { account, book, store } = by;
    this.handle = held.handle;
    this.account = held.account;
    this.fingerprint = held.fingerprint ?? "";
    this.device = account.keys.device.text;
    this.#home = home;
    this.rooms = new HubRooms(account, book, store, home.note).begin();
    this.people = new HubPeople(account, book);
    this.catalogs = new SharedCatalogs(account, book, store);
    this.security = new HubSecurity(by, (token) => home.keep({ token }));
  }

  signOut(): Promise<void> {
    return this.#home.leave();
  }
}
