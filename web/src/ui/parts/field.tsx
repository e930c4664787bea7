import type { ComponentChildren, RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { IconButton } from "./button.tsx";

/** Native is what of an input's own attributes a page may set. */
interface Native {
  type?: "text" | "password" | "search" | "number";
  name?: string;
  autoComplete?: string;
  autoCapitalize?: "none" | "sentences";
  inputMode?: "text" | "numeric" | "search";
  enterKeyHint?: "go" | "next" | "done" | "send";
  placeholder?: string;
  spellcheck?: boolean;
  disabled?: boolean;
  required?: boolean;
  maxLength?: number;
  onBlur?(): void;
}

export interface FieldProps extends Native {
  label: string;
  value: string;
  onValue(value: string): void;
  /** hint is under the field until an error takes its place. */
  hint?: ComponentChildren;
  error?: string;
  /** look: codes are set in a typewriter's letters. */
  look?: "code";
  /** first takes the focus when it comes up. */
  first?: boolean;
  inputRef?: RefObject<HTMLInputElement>;
}

/** Field is one line to fill in: its label, its box, and a note that keeps its place whether it says something or not. */
export function Field({ label, value, onValue, hint, error, look, first, inputRef, type = "text", ...rest }: FieldProps) {
  const id = useId();
  const [shown, show] = useState(false);
  const own = useRef<HTMLInputElement>(null);
  const box = inputRef ?? own;
  const secret = type === "password";
  useLayoutEffect(() => {
    if (first) box.current?.focus();
  }, []);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-box">
        <input
          {...rest}
          id={id}
          ref={box}
          data-first={first || undefined}
          type={(secret && shown ? "text" : type) as "text"}
          class="input"
          data-look={look}
          value={value}
          aria-invalid={error ? "true" : undefined}
          aria-describedby={error || hint ? `${id}-note` : undefined}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
        {secret && <IconButton label={shown ? "Hide the password" : "Show the password"} icon={shown ? "hide" : "eye"} onClick={() => show(!shown)} />}
      </div>
      {(type !== "search" || error || hint) && <Note id={`${id}-note`} error={error} hint={hint} />}
    </div>
  );
}

function Note({ id, error, hint }: { id: string; error?: string; hint?: ComponentChildren }) {
  return (
    <div class="field-note" id={id} data-kind={error ? "error" : undefined} role={error ? "alert" : undefined}>
      {error ?? hint}
    </div>
  );
}

/** Select is a choice of one from a list. */
export function Select<T extends string>({ label, value, onValue, options, hint }: { label: string; value: T; onValue(value: NoInfer<T>): void; options: readonly (readonly [NoInfer<T>, string])[]; hint?: string }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select class="input" id={id} value={value} aria-describedby={hint ? `${id}-note` : undefined} onChange={(event) => onValue(event.currentTarget.value as NoInfer<T>)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
      {hint && <Note id={`${id}-note`} hint={hint} />}
    </div>
  );
}

/** Check is a yes or no. */
export function Check({ checked, onChecked, children, disabled }: { checked: boolean; onChecked(checked: boolean): void; children: ComponentChildren; disabled?: boolean }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={(event) => onChecked(event.currentTarget.checked)} />
      <span>{children}</span>
    </label>
  );
}

/** Choices shows few choices side by side, each with a word on what it means. */
export function Choices<T extends string>({
  legend,
  value,
  onValue,
  options,
}: {
  legend: string;
  value: T;
  onValue(value: NoInfer<T>): void;
  options: readonly { key: NoInfer<T>; title: ComponentChildren; note?: string; disabled?: boolean }[];
}) {
  const name = useId();
  return (
    <fieldset class="field">
      <legend class="field-label">{legend}</legend>
      <div class="choices">
        {options.map((option) => (
          <label key={option.key} class="choice">
            <input type="radio" name={name} value={option.key} checked={option.key === value} disabled={option.disabled} onChange={() => onValue(option.key)} />
            <span class="line">{option.title}</span>
            {option.note && <span class="small">{option.note}</span>}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
