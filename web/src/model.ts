// What the pages see of a hub: everything they show and everything they can ask for, as plain values, promises and
// signals. Behind it are hub/ (what this browser says to the hub), vault/ (what it keeps) and media/ (what it fetches from
// other members); the pages import from none of them. It is made once, by main.ts.

import type { ReadonlySignal } from "@preact/signals";

/** Keyhall is a hub, seen from one browser. */
export interface Keyhall {
  readonly stage: ReadonlySignal<Stage>;
  /** network: whether the hub can be reached just now. */
  readonly network: ReadonlySignal<"online" | "connecting" | "offline">;
  /** notices are what a person should know whatever page they are on, the newest last. */
  readonly notices: ReadonlySignal<readonly Notice[]>;
  dismiss(notice: Notice): void;
  readonly door: Door;
  /** person is there while stage is "in". */
  readonly person: ReadonlySignal<Person | undefined>;
}

/**
 * Stage is how far this browser is: it looks (starting), lacks something that no page can give (unable, why says what), holds no
 * keys (out), or is signed in (in). "ended" is a session that was ended elsewhere: its keys are gone, the door is open.
 */
export type Stage = { at: "starting" } | { at: "unable"; why: string } | { at: "out"; ended?: string; config: Config } | { at: "in"; config: Config };

/** Config is what the host has set up. */
export interface Config {
  oidc?: string;
  demo?: boolean;
}

export interface Notice {
  readonly id: number;
  readonly kind: "warning" | "problem" | "done";
  readonly text: string;
}

/** Problem is an error whose message is a sentence for people: what happened, and what to do. */
export class Problem extends Error {
  constructor(
    readonly code: "malformed" | "refused" | "not-found" | "taken" | "conflict" | "expired" | "too-large" | "unavailable" | "throttled" | "cancelled",
    message: string,
    /** wait is after how many seconds a throttled request may be made again. */
    readonly wait?: number,
  ) {
    super(message);
  }
}

/** Door is how somebody gets in who is not. Each ends with stage "in". Long ones tell their progress as 0..1 or a word. */
export interface Door {
  /** look says who made an invite and whether it is for this hub, without using it. Code may be a whole URL. */
  look(code: string): Promise<Invitation>;
  /** join makes a person: keys, admission, the password's login where one is given. The recovery code is shown by the page. */
  join(request: { code: string; handle: string; password?: string; device?: string }, progress: (what: string) => void): Promise<{ recovery: string }>;
  password(name: string, password: string, progress: (what: string) => void): Promise<void>;
  passkey(): Promise<void>;
  /** provider leaves the page for the host's OIDC provider; back says who came back from it, if somebody did. */
  provider(): void;
  back(): Promise<{ account?: string; handle?: string } | undefined>;
  /** recover brings a person back by the code on paper and ends the device that was lost. */
  recover(code: string, progress: (what: string) => void): Promise<{ revoked?: string; problems: string[] }>;
  /** link asks to be let in by another device of the person: shown a code (given), or showing one (none). */
  link(code: string | undefined, device: string): LinkAsk;
  /** deviceName is what this browser would call itself. */
  readonly deviceName: string;
}

export interface Invitation {
  /** inviter is a handle where the hub says one; "host" for the host's. */
  inviter?: string;
  hub: string;
}

/** LinkAsk is a link on its way, on the new device. */
export interface LinkAsk {
  readonly code: string;
  readonly url: string;
  /** words to compare, once there are any. */
  readonly words: ReadonlySignal<string | undefined>;
  /** done when the browser is in; rejects with a Problem. */
  readonly done: Promise<void>;
  cancel(): void;
}

/** Person is who is signed in, and what they have. */
export interface Person {
  readonly handle: string;
  readonly account: string;
  readonly device: string;
  readonly fingerprint: string;
  readonly rooms: Rooms;
  readonly people: People;
  readonly catalogs: Catalogs;
  readonly security: Security;
  /** signOut ends the session, revokes this browser's device where it can, and forgets all keys. */
  signOut(): Promise<void>;
}

export interface People {
  list(): Promise<readonly Known[]>;
  find(handle: string): Promise<Known>;
  /** words to compare with somebody, who sees the same eight. */
  words(account: string): Promise<string>;
  /** pin says that the words were the same. */
  pin(account: string): Promise<void>;
  /** invite makes an invite: a code and a link to pass on. */
  invite(options: { uses: number; hours: number }): Promise<{ code: string; url: string; expires: Date }>;
}

/** Known is somebody as far as this browser knows them. */
export interface Known {
  account: string;
  handle: string;
  /** verified by words, introduced by a chain of invites from the person themselves, or neither. */
  trust: "self" | "verified" | "introduced" | "unverified";
  /** changed is what is not as it was when first seen, in words. */
  changed?: string;
}

export type Role = "reader" | "writer" | "moderator";

export interface Rooms {
  /** list of the rooms one is in, and of those one may join; undefined until first known. */
  readonly list: ReadonlySignal<readonly RoomInfo[] | undefined>;
  create(name: string, options: { open: boolean; listed: boolean }): Promise<RoomInfo>;
  /** enter opens a room to talk in; a room one may not enter rejects with a Problem, and leaves the others alone. */
  enter(room: string): Promise<Room>;
  /** leave ends one's own membership. */
  leave(room: string): Promise<void>;
}

export interface RoomInfo {
  id: string;
  /** name; of a room whose key has not come yet, undefined. */
  name?: string;
  open: boolean;
  listed: boolean;
  /** role here; undefined: not in it. */
  role?: Role;
  members: number;
  unread: number;
}

/** Room is a room that is open on the screen. It stays up to date until close. */
export interface Room {
  readonly info: ReadonlySignal<RoomInfo>;
  /** messages in the order of the room; what one has said and the hub has not stored yet comes last. */
  readonly messages: ReadonlySignal<readonly Message[]>;
  /** more says whether there is anything above; older loads it (some 50). */
  readonly more: ReadonlySignal<boolean>;
  older(): Promise<void>;
  /** present are the others who are here now. */
  readonly present: ReadonlySignal<readonly { account: string; handle: string; typing: boolean }[]>;
  /** say queues what is said: it is signed when it is sent, and sent when there is a network. */
  say(text: string): void;
  /** again tries a message that failed; drop forgets it. */
  again(message: Message): void;
  drop(message: Message): void;
  typing(): void;
  /** read says that everything up to here was seen. */
  read(): void;
  members(): Promise<readonly Member[]>;
  grant(handle: string, role: Role, hours?: number): Promise<void>;
  revoke(account: string): Promise<void>;
  close(): void;
}

export interface Message {
  /** id of the event; of one not sent yet, one of its own. */
  id: string;
  seq?: number;
  author: string;
  handle: string;
  mine: boolean;
  time: Date;
  text: string;
  /** state of one's own: waiting for a network, on its way, stored by the hub, or failed (why says it). Others' are stored. */
  state: "queued" | "sending" | "stored" | "failed";
  why?: string;
  /** unreadable says why a message of the room cannot be shown; text is empty then. */
  unreadable?: string;
}

export interface Member {
  account: string;
  handle: string;
  role: Role;
  creator: boolean;
  expires?: Date;
}

export interface Catalogs {
  /** shares: what others share with one, offered and accepted; undefined until first known. */
  readonly shares: ReadonlySignal<readonly Share[] | undefined>;
  /** offered is how many of them wait for an answer. */
  readonly offered: ReadonlySignal<number>;
  accept(share: Share): Promise<void>;
  decline(share: Share): Promise<void>;
  /** open fetches the listing, which only an owner who is online can give. */
  open(owner: string, catalog: string): Promise<Catalog>;
  /** granted are one's own shares with others (of catalogs that a program of one's own serves). */
  granted(): Promise<readonly Granted[]>;
  /** share offers a catalog; name is what it is called, where Granted has none. */
  share(catalog: string, handle: string, hours?: number, name?: string): Promise<void>;
  unshare(granted: Granted): Promise<void>;
}

export interface Share {
  grant: string;
  owner: string;
  /** ownerHandle of the person who shares. */
  ownerHandle: string;
  catalog: string;
  name: string;
  state: "offered" | "accepted";
  expires?: Date;
  /** online: whether the owner answers; undefined: not known yet. */
  online?: boolean;
}

export interface Granted {
  grant: string;
  catalog: string;
  /** name of the catalog; undefined while this browser has not heard it: only the program that serves it knows. */
  name?: string;
  account: string;
  handle: string;
  state: "offered" | "accepted";
  expires?: Date;
}

export interface Catalog {
  readonly owner: string;
  readonly ownerHandle: string;
  readonly name: string;
  readonly entries: readonly Entry[];
  /** url of an entry on this origin, answered by the service worker: for <img>, <video>, <audio>, <iframe>, fetch. */
  url(entry: Entry): Promise<string>;
  /** download saves an entry to disk as it streams. */
  download(entry: Entry): Promise<void>;
  /** text reads the beginning of a text, at most limit bytes. */
  text(entry: Entry, limit: number): Promise<{ text: string; whole: boolean }>;
  /** shows is how this very browser shows an entry; undefined where it cannot: then keyhall play or a download does. */
  shows(entry: Entry): "video" | "audio" | "image" | "pdf" | "text" | undefined;
  /** trouble is what last kept an entry from being read, since an element that shows it can only say that something did. */
  readonly trouble: ReadonlySignal<{ path: string; problem: Problem } | undefined>;
  close(): void;
}

export interface Entry {
  path: string;
  size: number;
  type: string;
  modified: Date;
  root: string;
  description?: string;
}

export interface Security {
  devices(): Promise<readonly Device[]>;
  revoke(device: string): Promise<void>;
  rename(device: string, name: string): Promise<void>;
  sessions(): Promise<readonly Session[]>;
  end(session: string): Promise<void>;
  endOthers(): Promise<void>;
  /** passwordSet is when a password was set; undefined: none. */
  passwordSet(): Promise<Date | undefined>;
  /** The keys themselves are not in the browser: what hands them on needs them unlocked, by the password or the recovery code. */
  setPassword(unlock: Unlock, password: string, progress: (what: string) => void): Promise<void>;
  removePassword(): Promise<void>;
  makeRecovery(unlock: Unlock): Promise<string>;
  recoveryMade(): Promise<Date | undefined>;
  passkeys(): Promise<readonly { id: string; name: string; made: Date; opens: boolean }[]>;
  addPasskey(name: string, unlock: Unlock | undefined): Promise<void>;
  removePasskey(id: string): Promise<void>;
  providerBound(): Promise<boolean>;
  bindProvider(): void;
  unbindProvider(): Promise<void>;
  /** letIn is the old side of a link: a code that another device shows (given), or one to show there (none). */
  letIn(code: string | undefined, unlock: Unlock): LinkOffer;
  /** holdsIdentity says whether this browser may make devices and logins. */
  readonly holdsIdentity: boolean;
}

/** Unlock opens the person's own backup. */
export type Unlock = { password: string } | { recovery: string } | { passkey: true };

/** LinkOffer is a link on its way, on a device that is in. */
export interface LinkOffer {
  readonly code: string;
  readonly url: string;
  /** asked is who wants in, with the words to compare, once somebody has asked. */
  readonly asked: ReadonlySignal<{ name: string; words: string } | undefined>;
  /** answer says yes or no. */
  answer(yes: boolean): Promise<void>;
  readonly failed: ReadonlySignal<Problem | undefined>;
  cancel(): void;
}

export interface Device {
  key: string;
  name: string;
  this: boolean;
  added: Date;
  expires: Date;
  revoked: boolean;
  /** browser: whether it has opened a session. */
  browser: boolean;
}

export interface Session {
  id: string;
  device: string;
  name: string;
  made: Date;
  seen: Date;
  from: string;
  agent: string;
  this: boolean;
}
