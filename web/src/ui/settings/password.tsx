import { useState } from "preact/hooks";
import type { Security } from "../../model.ts";
import { announce, Banner, Button, Confirm, Dialog, Ends, Form, Progress, Show, Time, useLoad, useTask } from "../parts/index.ts";
import { NewPassword } from "../door/newpassword.tsx";
import { least } from "../door/strength.ts";
import { Section } from "./section.tsx";
import { UnlockFields, useUnlock } from "./unlock.tsx";

/** Password is set, changed and taken away here. */
export function Password({ security, handle }: { security: Security; handle: string }) {
  const made = useLoad(async () => ({ at: await security.passwordSet() }));
  const [open, set] = useState<"set" | "remove">();
  const changed = async (text: string) => {
    announce(text);
    await made.again();
    set(undefined);
  };
  return (
    <Section title="Password" lead="Your name and password bring all your keys into a fresh browser. The hub sees neither the password nor the keys.">
      <Show loaded={made} bones={<div class="bone-line" />}>
        {({ at }) => (
          <div class="setting">
            <p>{at ? <>Set <Time at={at} as="day" /></> : "No password is set."}</p>
            <div class="line">
              <Button disabled={!security.holdsIdentity} onClick={() => set("set")}>{at ? "Change" : "Set a password"}</Button>
              {at && (
                <Button kind="danger-quiet" disabled={!security.holdsIdentity} onClick={() => set("remove")}>
                  Remove
                </Button>
              )}
            </div>
          </div>
        )}
      </Show>
      {open === "set" && <SetPassword security={security} handle={handle} onClose={() => set(undefined)} onDone={() => changed("Your password is set.")} />}
      {open === "remove" && (
        <Confirm
          title="Remove the password?"
          yes="Remove it"
          onClose={() => set(undefined)}
          onYes={async () => {
            await security.removePassword();
            await changed("Your password is removed.");
          }}
        >
          <p>From then on only your devices, a passkey that brings keys or your recovery code get you in.</p>
        </Confirm>
      )}
    </Section>
  );
}

function SetPassword({ security, handle, onClose, onDone }: { security: Security; handle: string; onClose(): void; onDone(): Promise<void> }) {
  const [password, setPassword] = useState("");
  const [wrong, mark] = useState<string>();
  const [what, tell] = useState<string>();
  const unlock = useUnlock();
  const task = useTask();
  return (
    <Dialog title="Set a password" onClose={onClose}>
      <Form
        onSubmit={() => {
          const short = [...password].length < least ? `At least ${least} characters.` : undefined;
          mark(short);
          const key = unlock.take();
          if (short !== undefined || key === undefined) return;
          void task.run(() => security.setPassword(key, password, tell).then(onDone).finally(() => tell(undefined)));
        }}
      >
        <input class="unseen" type="text" name="username" autoComplete="username" value={handle} readOnly tabIndex={-1} aria-hidden="true" />
        <UnlockFields security={security} unlock={unlock} error={task.code === "refused" ? task.problem : undefined} />
        <NewPassword label="New password" password={password} onPassword={setPassword} handle={handle} error={wrong} />
        {task.problem && task.code !== "refused" && <Banner kind="problem">{task.problem}</Banner>}
        <Progress what={what} />
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={task.busy} disabled={task.wait > 0}>
            Set it
          </Button>
        </Ends>
      </Form>
    </Dialog>
  );
}
