// What a password becomes takes a second and much memory, on purpose: here it holds nothing else up.

import { argon2id } from "@noble/hashes/argon2.js";

import type { Salted } from "../protocol/passwords.ts";

globalThis.onmessage = ({ data }: MessageEvent<Salted>) => {
  const { password, salt, memory, passes } = data;
  const limit = (memory + 1024) << 10; // a little more than is asked for
  postMessage(argon2id(password, salt, { m: memory, t: passes, p: 1, dkLen: 32, version: 0x13, maxmem: limit }));
};
