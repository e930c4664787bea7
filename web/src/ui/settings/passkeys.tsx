import { useState } from "preact/hooks";
import type { Security } from "../../model.ts";
import { announce, Banner, BoneRows, Button, Check, Confirm, Dialog, Ends, Field, Form, Icon, Show, Tag, Time, useLoad, useTask } from "../parts/index.ts";
import { Section } from "./section.tsx";
import { UnlockFields, useUnlock } from "./unlock.tsx";

type Passkey = Awaited<ReturnType<Security["passkeys"]>>[number];

/** Passkeys sign in without a password; some bring the keys too. */
export function Passkeys({ security }: { security: Security }) {
  const passkeys = useLoad(() => security.passkeys());
  const [adding, add] = useState(false);
  const [removing, remove] = useState<Passkey>();
  return (
    <Section
      title="Passkeys"
      lead="Kept by your phone, your computer or a security key. Where it can, a passkey opens your keys by itself."
      ends={
        <Button icon="plus" onClick={() => add(true)}>
          Add a passkey
        </Button>
      }
    >
      <Show loaded={passkeys} bones={<BoneRows count={1} label="Loading your passkeys" />}>
        {(all) => (all.length === 0 ? <p class="quiet">None yet.</p> : <List passkeys={all} remove={remove} />)}
      </Show>
      {adding && (
        <Add
          security={security}
          onClose={() => add(false)}
          onDone={async () => {
            announce("The passkey is added.");
            await passkeys.again();
          }}
        />
      )}
      {removing && (
        <Confirm
          title="Remove the passkey?"
          yes="Remove it"
          onClose={() => remove(undefined)}
          onYes={async () => {
            await security.removePasskey(removing.id);
            announce("The passkey is removed.");
            await passkeys.again();
          }}
        >
          <p>
            <bdi>{removing.name}</bdi> signs you in no more. Your device may go on showing it: delete it there too.
          </p>
        </Confirm>
      )}
    </Section>
  );
}

function List({ passkeys, remove }: { passkeys: readonly Passkey[]; remove(passkey: Passkey): void }) {
  return (
    <ul class="rows">
      {passkeys.map((passkey) => (
        <li key={passkey.id} class="row">
          <span class="row-icon">
            <Icon name="key" />
          </span>
          <div class="row-text">
            <div class="row-title">
              <bdi>{passkey.name}</bdi>
              {passkey.opens ? <Tag kind="good">brings your keys</Tag> : <Tag>says who you are</Tag>}
            </div>
            <div class="row-note">
              Since <Time at={passkey.made} as="day" />
            </div>
          </div>
          <Button size="small" aria-label={`Remove ${passkey.name}`} onClick={() => remove(passkey)}>
            Remove
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Add({ security, onClose, onDone }: { security: Security; onClose(): void; onDone(): Promise<void> }) {
  const [name, setName] = useState("");
  const [missing, miss] = useState(false);
  const [opens, setOpens] = useState(security.holdsIdentity);
  const unlock = useUnlock();
  const task = useTask();
  return (
    <Dialog title="Add a passkey" onClose={onClose}>
      <Form
        onSubmit={() => {
          miss(name.trim() === "");
          const key = opens ? unlock.take() : undefined;
          if (name.trim() === "" || (opens && key === undefined)) return;
          void task.run(async () => {
            await security.addPasskey(name.trim(), key);
            await onDone();
            onClose();
          });
        }}
      >
        <Field label="Name" autoComplete="off" first hint="As you will know it: “my phone”, “the blue key”." value={name} onValue={setName} error={missing ? "Give it a name that you will know it by." : undefined} />
        <Check checked={opens} onChecked={setOpens} disabled={!security.holdsIdentity}>
          It brings my keys too
          <span class="row-note"> — where your device can do that; otherwise it says who you are, and another device lets you in.</span>
        </Check>
        {opens && <UnlockFields security={security} unlock={unlock} error={task.code === "refused" ? task.problem : undefined} />}
        {task.problem && !(opens && task.code === "refused") && <Banner kind="problem">{task.problem}</Banner>}
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={task.busy}>
            Add it
          </Button>
        </Ends>
      </Form>
    </Dialog>
  );
}
