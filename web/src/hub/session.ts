// Sessions: the device signs a challenge of the hub's, and the hub sets a cookie that no script sees (docs/protocol/web.md#sessions).

import type { Session } from "../model.ts";
import { Problem } from "../model.ts";
import type { Hub, Keys } from "../ports.ts";
import { base64, unhex } from "../protocol/bytes.ts";
import { sessionStatement } from "../protocol/session.ts";
import { ask } from "./http.ts";

/** SessionAnswer is a session as the hub tells of it; times are RFC 3339. */
export interface SessionAnswer {
  id: string;
  account: string;
  handle: string;
  device: string;
  name: string;
  made: string;
  seen: string;
  expires: string;
  from: string;
  agent: string;
  this: boolean;
}

/** openSession opens a session for this device. Where another tab was faster, its session is this browser's. */
export async function openSession(hub: Hub, keys: Keys): Promise<SessionAnswer> {
  try {
    return await signedSession(hub, keys);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "conflict") throw error;
    const current = await currentSession();
    return current?.device === keys.device.text ? current : signedSession(hub, keys);
  }
}

const signedSession = async (hub: Hub, keys: Keys): Promise<SessionAnswer> => ask<SessionAnswer>("POST", "/api/session", await proof(hub, keys));

/** revokedPage is a page of the person's chain after a place, which ends where this device was revoked. */
export const revokedPage = async (hub: Hub, keys: Keys, after: number): Promise<unknown> =>
  ask("POST", "/api/session/revoked", { ...(await proof(hub, keys)), after });

async function proof(hub: Hub, keys: Keys): Promise<{ token: string; challenge: string; signature: string }> {
  const { challenge } = await ask<{ challenge: string }>("POST", "/api/session/challenge");
  const signature = base64.write(await keys.device.sign(sessionStatement(hub.id, unhex(challenge, 32))));
  return { token: keys.token, challenge, signature };
}

/** currentSession is the session of the cookie; undefined where there is none. */
export async function currentSession(): Promise<SessionAnswer | undefined> {
  try {
    return await ask<SessionAnswer>("GET", "/api/session");
  } catch (error) {
    if (error instanceof Problem && error.code === "refused") return undefined;
    throw error;
  }
}

/** sessions of the person, the newest first. */
export async function sessions(): Promise<Session[]> {
  const { sessions: all } = await ask<{ sessions: SessionAnswer[] }>("GET", "/api/sessions");
  return all.map(({ id, device, name, made, seen, from, agent, this: own }) => ({
    id, device, name, made: new Date(made), seen: new Date(seen), from, agent, this: own,
  }));
}
