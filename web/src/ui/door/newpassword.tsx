import { Field } from "../parts/field.tsx";
import { strength } from "./strength.ts";

/** NewPassword is a field for a password that is being chosen, and says how good it is. */
export function NewPassword({ label = "Password", password, onPassword, handle, error }: { label?: string; password: string; onPassword(password: string): void; handle: string; error?: string }) {
  const { level, words } = strength(password, handle);
  return (
    <div class="new-password">
      <Field label={label} name="new-password" type="password" autoComplete="new-password" value={password} onValue={onPassword} hint={words} error={error} />
      <div class="meter" data-level={level} aria-hidden="true">
        <span />
        <span />
        <span />
        <span />
      </div>
    </div>
  );
}
