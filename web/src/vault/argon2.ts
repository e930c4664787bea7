// Argon2id, computed beside the page (docs/protocol/web.md#logins).

import { Problem } from "../model.ts";
import { Refused, type Bytes } from "../protocol/bytes.ts";
import { passwordSecrets, salted, type Cost, type PasswordSecrets } from "../protocol/passwords.ts";
import { program } from "../scripts.ts";

/** secretsOf are what a password becomes at this hub. A cost or salt that the hub names is taken within bounds only. */
export async function secretsOf(hub: string, password: string, salt: Uint8Array, cost: Cost): Promise<PasswordSecrets> {
  return passwordSecrets(await master(password, salt, cost), hub);
}

async function master(password: string, salt: Uint8Array, cost: Cost): Promise<Bytes> {
  let work;
  try {
    work = salted(password, salt, cost);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new Problem("refused", "The hub asks for the password to be treated in a way that is not safe; do not sign in, and tell the host.");
  }
  const worker = new Worker(program("/argon2.js"));
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Bytes>) => resolve(data);
      worker.onerror = () => reject(new Problem("unavailable", "This device has too little memory free for the password; close something and try again."));
      worker.postMessage(work);
    });
  } finally {
    worker.terminate();
  }
}
