import { useState } from "preact/hooks";
import type { Security, Unlock } from "../../model.ts";
import { Choices, Field, useLoad } from "../parts/index.ts";

type Way = "password" | "recovery" | "passkey";

/** Opened is what a form of unlocking holds. */
export interface Opening {
  way: Way;
  secret: string;
  wrong?: string;
}

/** useUnlock is the state of an UnlockFields; take gives what was filled in, or marks what is missing. */
export function useUnlock(): { state: Opening; set(state: Opening): void; take(): Unlock | undefined } {
  const [state, set] = useState<Opening>({ way: "password", secret: "" });
  const take = (): Unlock | undefined => {
    if (state.way === "passkey") return { passkey: true };
    if (state.secret.trim() === "") {
      set({ ...state, wrong: state.way === "password" ? "Your password is missing." : "Your recovery code is missing." });
      return undefined;
    }
    return state.way === "password" ? { password: state.secret } : { recovery: state.secret.trim() };
  };
  return { state, set, take };
}

/**
 * UnlockFields ask for what opens the person's own backup. The browser has no way to copy its keys: what is handed on, to a device or
 * into a password, comes from there.
 */
export function UnlockFields({ security, unlock, error }: { security: Security; unlock: ReturnType<typeof useUnlock>; error?: string }) {
  const { state, set } = unlock;
  const ways = useLoad(async () => {
    const [password, passkeys] = await Promise.all([security.passwordSet(), security.passkeys()]);
    const found = { password: password !== undefined, passkey: passkeys.some((passkey) => passkey.opens) };
    if (!found.password) set({ way: found.passkey ? "passkey" : "recovery", secret: "" });
    return found;
  });
  return (
    <div class="stack" data-gap="tight">
      <Choices<Way>
        legend="Unlock your keys with"
        value={state.way}
        onValue={(way) => set({ way, secret: "" })}
        options={[
          { key: "password", title: "Password", disabled: ways.value?.password === false, note: ways.value?.password === false ? "none is set" : undefined },
          { key: "recovery", title: "Recovery code" },
          { key: "passkey", title: "Passkey", disabled: !ways.value?.passkey, note: ways.value?.passkey === false ? "none brings keys" : undefined },
        ]}
      />
      <Secret state={state} set={set} error={state.wrong ?? error} />
    </div>
  );
}

function Secret({ state, set, error }: { state: Opening; set(state: Opening): void; error?: string }) {
  const filled = (secret: string) => set({ way: state.way, secret });
  switch (state.way) {
    case "password":
      return <Field key="password" label="Your password" type="password" autoComplete="current-password" value={state.secret} onValue={filled} error={error} />;
    case "recovery":
      return <Field key="recovery" label="Your recovery code" look="code" autoComplete="off" autoCapitalize="none" spellcheck={false} hint="It begins with kr-." value={state.secret} onValue={filled} error={error} />;
    case "passkey":
      return (
        <p class="field-note" data-kind={error ? "error" : undefined} role={error ? "alert" : undefined}>
          {error ?? "Your browser will ask for it."}
        </p>
      );
  }
}
