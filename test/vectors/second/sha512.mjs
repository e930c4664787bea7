// SHA-512/256 (FIPS 180-4), which WebCrypto does not have. Its constants are the first 64 bits
// of the fractions of roots of primes, and its beginning is a hash of its own name.

import { concat, u64, utf8 } from "./bytes.mjs";

const mask = 2n ** 64n - 1n;

/** root is the integer root of a degree. */
function root(value, degree) {
  let low = 0n;
  let high = 1n << 80n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** degree <= value) low = middle;
    else high = middle;
  }
  return low;
}

const primes = [];
for (let n = 2; primes.length < 80; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);

const fraction = (prime, degree) => root(BigInt(prime) << (64n * degree), degree) & mask;
const constants = primes.map((prime) => fraction(prime, 3n));
const beginning = primes.slice(0, 8).map((prime) => fraction(prime, 2n));

const rotate = (x, n) => ((x >> n) | (x << (64n - n))) & mask;

function sha512(message, from) {
  const length = Math.ceil((message.length + 17) / 128) * 128;
  const padded = concat(message, Uint8Array.of(0x80), new Uint8Array(length - message.length - 9), u64(message.length * 8));
  const view = new DataView(padded.buffer);
  const state = [...from];
  for (let block = 0; block < length; block += 128) {
    const words = Array.from({ length: 16 }, (_, i) => view.getBigUint64(block + 8 * i));
    for (let i = 16; i < 80; i++) {
      const [a, b] = [words[i - 15], words[i - 2]];
      const small = rotate(a, 1n) ^ rotate(a, 8n) ^ (a >> 7n);
      const large = rotate(b, 19n) ^ rotate(b, 61n) ^ (b >> 6n);
      words.push((words[i - 16] + small + words[i - 7] + large) & mask);
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 80; i++) {
      const choice = (e & f) ^ (~e & mask & g);
      const first = h + (rotate(e, 14n) ^ rotate(e, 18n) ^ rotate(e, 41n)) + choice + constants[i] + words[i];
      const second = (rotate(a, 28n) ^ rotate(a, 34n) ^ rotate(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) & mask, c, b, a, (first + second) & mask];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => {
      state[i] = (state[i] + word) & mask;
    });
  }
  return state;
}

const truncated = sha512(utf8("SHA-512/256"), beginning.map((word) => word ^ 0xa5a5a5a5a5a5a5a5n));

/** sha512x256 is SHA-512/256. */
export const sha512x256 = (message) => concat(...sha512(message, truncated).map(u64)).slice(0, 32);
