// What this browser keeps, in IndexedDB: who it is, and by person what was verified, pinned, marked and queued.

import { Problem } from "../model.ts";
import type { Store, Table } from "../ports.ts";

const name = "keyhall";
const version = 1;

/** Own are the things of the browser itself: its hub, its person, a join or a return on its way, and that a session is left to be ended. */
type Own = "hub" | "person" | "pending" | "comeback" | "unended";

function promised<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(storage(request.error));
  });
}

const storage = (cause: unknown): Problem =>
  cause instanceof DOMException && cause.name === "QuotaExceededError"
    ? new Problem("too-large", "This browser has no room left for this site; free some space on the disk and try again.")
    : new Problem("unavailable", "This browser's storage does not work just now; close other tabs of this page and load it again.");

/** Database is the browser's store of this origin. */
export class Database {
  private constructor(private readonly db: IDBDatabase) {
    db.onversionchange = () => db.close();
  }

  static async open(): Promise<Database> {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("own");
      request.result.createObjectStore("values");
    };
    return new Database(await promised(request));
  }

  get<T>(key: Own): Promise<T | undefined> {
    return promised(this.#store("own", "readonly").get(key) as IDBRequest<T | undefined>);
  }

  async put(key: Own, value: unknown): Promise<void> {
    await this.#change("own", (store) => store.put(value, key));
  }

  async delete(key: Own): Promise<void> {
    await this.#change("own", (store) => store.delete(key));
  }

  /** of is the store of one person. After wipe it takes nothing any more: what is still being worked out then is not written. */
  of(account: string): Store {
    let wiped = false;
    const change = (does: (store: IDBObjectStore) => void): Promise<void> => (wiped ? Promise.resolve() : this.#change("values", does));
    const range = (table?: Table): IDBKeyRange => {
      const prefix = table ? [account, table] : [account];
      return IDBKeyRange.bound(prefix, [...prefix, []]); // an array is above every text
    };
    return {
      get: <T>(table: Table, key: string) => promised(this.#store("values", "readonly").get([account, table, key]) as IDBRequest<T | undefined>),
      put: (table, key, value) => change((store) => store.put(value, [account, table, key])),
      delete: (table, key) => change((store) => store.delete([account, table, key])),
      all: async <T>(table: Table) => {
        const store = this.#store("values", "readonly");
        const [keys, values] = await Promise.all([promised(store.getAllKeys(range(table))), promised(store.getAll(range(table)))]);
        return keys.map((key, i): [string, T] => [(key as string[])[2] ?? "", values[i] as T]);
      },
      wipe: () => {
        wiped = true;
        return this.#change("values", (store) => store.delete(range()));
      },
    };
  }

  #store(kind: "own" | "values", mode: IDBTransactionMode): IDBObjectStore {
    try {
      return this.db.transaction(kind, mode).objectStore(kind);
    } catch (error) {
      throw storage(error);
    }
  }

  /** change is done when the change is on the disk's way, not when it was asked for. */
  #change(kind: "own" | "values", change: (store: IDBObjectStore) => void): Promise<void> {
    const store = this.#store(kind, "readwrite");
    return new Promise((resolve, reject) => {
      store.transaction.oncomplete = () => resolve();
      store.transaction.onabort = () => reject(storage(store.transaction.error));
      try {
        change(store);
      } catch (error) {
        reject(storage(error));
      }
    });
  }
}
