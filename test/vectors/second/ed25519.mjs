// The one rule about signatures, ZIP-215: S is below the order of the group, key and R are
// encodings of any points, with y taken modulo p, and 8SB = 8R + 8kA. WebCrypto is stricter:
// its yes is yes, its no is asked again here. Nothing in this file is secret.

const p = 2n ** 255n - 19n;
const order = 2n ** 252n + 27742317777372353535851937790883648493n;

const mod = (a) => ((a % p) + p) % p;

function power(base, exponent) {
  let out = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) {
    if (e & 1n) out = mod(out * b);
  }
  return out;
}

const d = mod(-121665n * power(121666n, p - 2n));
const rootOfMinusOne = power(2n, (p - 1n) / 4n);

function little(bytes) {
  let out = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) out = (out << 8n) | BigInt(bytes[i]);
  return out;
}

// Points are [X, Y, Z, T] with x = X/Z, y = Y/Z, xy = T/Z.
const identity = [0n, 1n, 1n, 0n];

/** point decodes 32 bytes, or gives null where y is on no point. */
function point(bytes) {
  const encoded = little(bytes);
  const sign = encoded >> 255n;
  const y = mod(encoded & (2n ** 255n - 1n));
  const u = mod(y * y - 1n);
  const v = mod(d * y * y + 1n);
  let x = mod(u * v ** 3n * power(u * v ** 7n, (p - 5n) / 8n));
  const square = mod(v * x * x);
  if (square !== u) {
    if (square !== mod(-u)) return null;
    x = mod(x * rootOfMinusOne);
  }
  if ((x & 1n) !== sign) x = mod(-x); // 0 stays 0, with either sign
  return [x, y, 1n, mod(x * y)];
}

function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * d * t1 * t2);
  const e = mod(2n * z1 * z2);
  const [f, g, h, i] = [b - a, e - c, e + c, b + a];
  return [mod(f * g), mod(h * i), mod(g * h), mod(f * i)];
}

const negate = ([x, y, z, t]) => [mod(-x), y, z, mod(-t)];

function times(n, a) {
  let out = identity;
  for (let i = n.toString(2).length - 1; i >= 0; i--) {
    out = add(out, out);
    if ((n >> BigInt(i)) & 1n) out = add(out, a);
  }
  return out;
}

const base = point(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x58 : 0x66)));

async function holds(key, message, signature) {
  const s = little(signature.subarray(32));
  const [publicKey, r] = [point(key), point(signature.subarray(0, 32))];
  if (s >= order || publicKey === null || r === null) return false;
  const hashed = new Uint8Array(signature.length / 2 + key.length + message.length);
  hashed.set(signature.subarray(0, 32));
  hashed.set(key, 32);
  hashed.set(message, 64);
  const k = little(new Uint8Array(await crypto.subtle.digest("SHA-512", hashed))) % order;
  const difference = add(times(s, base), negate(add(r, times(k, publicKey))));
  const [x, y, z] = times(8n, difference);
  return x === 0n && y === z;
}

async function strictly(key, message, signature) {
  try {
    const imported = await crypto.subtle.importKey("raw", key, "Ed25519", true, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, signature, message);
  } catch {
    return false; // a key that it does not know as one
  }
}

/** verify reports whether a signature of a key on a message holds. */
export async function verify(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false;
  return (await strictly(key, message, signature)) || holds(key, message, signature);
}
