// Passkeys, by WebAuthn: who somebody is, and with the extension PRF a secret that opens their keys. The secret is taken out
// here and is in nothing that goes to the hub.

import { Problem } from "../model.ts";
import { base64url, type Bytes } from "../protocol/bytes.ts";
import { passkeyInput } from "../protocol/passwords.ts";

/** Asserted is a passkey's answer: credential is what the hub checks, output what opens the keys, where there is one. */
export interface Asserted {
  id: string;
  credential: unknown;
  output?: Bytes;
}

type Encoded = string;
interface Descriptor {
  id: Encoded;
  type: "public-key";
  transports?: AuthenticatorTransport[];
}

/** RequestJSON and CreationJSON are WebAuthn's options as JSON. */
export interface RequestJSON {
  challenge: Encoded;
  rpId?: string;
  timeout?: number;
  userVerification?: UserVerificationRequirement;
  allowCredentials?: Descriptor[];
}

export interface CreationJSON {
  challenge: Encoded;
  rp: PublicKeyCredentialRpEntity;
  user: { id: Encoded; name: string; displayName: string };
  pubKeyCredParams: PublicKeyCredentialParameters[];
  timeout?: number;
  excludeCredentials?: Descriptor[];
  authenticatorSelection?: AuthenticatorSelectionCriteria;
  attestation?: AttestationConveyancePreference;
}

/** passkeysWork says whether this browser has passkeys at all. */
export const passkeysWork = (): boolean => typeof PublicKeyCredential === "function" && !!navigator.credentials;

const none = "This browser cannot use passkeys; sign in by another way.";

// go-webauthn puts the options into a member "publicKey"; both forms are taken.
const inner = <T>(options: T | { publicKey: T }): T => (typeof options === "object" && options !== null && "publicKey" in options ? options.publicKey : options);

const read = (text: Encoded): Bytes => base64url.read(text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""), "content");
const write = (buffer: ArrayBuffer): string => base64url.write(new Uint8Array(buffer));
const descriptors = (list: Descriptor[] | undefined): PublicKeyCredentialDescriptor[] => (list ?? []).map((one) => ({ ...one, id: read(one.id) }));
const prf = (): AuthenticationExtensionsClientInputs => ({ prf: { eval: { first: passkeyInput } } });

/** assert has the person show a passkey. */
export async function assert(options: RequestJSON | { publicKey: RequestJSON }): Promise<Asserted> {
  if (!passkeysWork()) throw new Problem("unavailable", none);
  const said = inner(options);
  const publicKey: PublicKeyCredentialRequestOptions = {
    challenge: read(said.challenge),
    ...(said.rpId ? { rpId: said.rpId } : {}),
    ...(said.timeout ? { timeout: said.timeout } : {}),
    userVerification: said.userVerification ?? "preferred",
    allowCredentials: descriptors(said.allowCredentials),
    extensions: prf(),
  };
  const shown = await asked(() => navigator.credentials.get({ publicKey }));
  const answer = shown.response as AuthenticatorAssertionResponse;
  const response = {
    clientDataJSON: write(answer.clientDataJSON),
    authenticatorData: write(answer.authenticatorData),
    signature: write(answer.signature),
    ...(answer.userHandle ? { userHandle: write(answer.userHandle) } : {}),
  };
  return result(shown, response);
}

/** create has the person make a passkey. It says at once what opens their keys, or false: it never will. */
export async function create(options: CreationJSON | { publicKey: CreationJSON }): Promise<Asserted & { opens: boolean }> {
  if (!passkeysWork()) throw new Problem("unavailable", none);
  const said = inner(options);
  const publicKey: PublicKeyCredentialCreationOptions = {
    challenge: read(said.challenge),
    rp: said.rp,
    user: { ...said.user, id: read(said.user.id) },
    pubKeyCredParams: said.pubKeyCredParams,
    ...(said.timeout ? { timeout: said.timeout } : {}),
    excludeCredentials: descriptors(said.excludeCredentials),
    authenticatorSelection: said.authenticatorSelection ?? { residentKey: "required", userVerification: "preferred" },
    attestation: said.attestation ?? "none",
    extensions: prf(),
  };
  const made = await asked(() => navigator.credentials.create({ publicKey }));
  const answer = made.response as AuthenticatorAttestationResponse;
  const response = {
    clientDataJSON: write(answer.clientDataJSON),
    attestationObject: write(answer.attestationObject),
    transports: answer.getTransports?.() ?? [],
  };
  const { prf: said2 } = made.getClientExtensionResults();
  return { ...result(made, response), opens: said2?.enabled === true || said2?.results !== undefined };
}

function result(shown: PublicKeyCredential, response: unknown): Asserted {
  const output = shown.getClientExtensionResults().prf?.results?.first;
  const credential = {
    id: shown.id,
    rawId: write(shown.rawId),
    type: shown.type,
    response,
    clientExtensionResults: {},
    ...(shown.authenticatorAttachment ? { authenticatorAttachment: shown.authenticatorAttachment } : {}),
  };
  const bytes = output instanceof ArrayBuffer ? new Uint8Array(output) : output ? new Uint8Array(output.buffer as ArrayBuffer, output.byteOffset, output.byteLength) : undefined;
  return { id: shown.id, credential, ...(bytes ? { output: bytes } : {}) };
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  let shown: Credential | null;
  try {
    shown = await ask();
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "InvalidStateError") throw new Problem("taken", "This authenticator holds a passkey of yours for this hub already.");
    if (name === "SecurityError") throw new Problem("refused", "Passkeys do not work at this address: they need a name, not a number, and the one that the host has set.");
    if (name === "NotSupportedError") throw new Problem("unavailable", none);
    throw new Problem("cancelled", "No passkey was used: it was cancelled, took too long, or there is none for this hub here.");
  }
  if (!(shown instanceof PublicKeyCredential)) throw new Problem("cancelled", "No passkey was used.");
  return shown;
}
