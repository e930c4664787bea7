import { useEffect, useState } from "preact/hooks";
import type { Device, Security } from "../../model.ts";
import { announce, BoneRows, Button, Confirm, Dialog, Ends, Field, Form, Icon, Menu, type MenuItem, Show, Tag, Time, type Loaded, useTask } from "../parts/index.ts";
import { broken } from "../door/handle.ts";
import { carried } from "../router.ts";
import { LetIn } from "./letin.tsx";
import { Section } from "./section.tsx";

type Asked = { what: "rename" | "revoke"; device: Device };

/** Devices are what a person has let in: see them, name them, shut one out, let another in. */
export function Devices({ security, devices }: { security: Security; devices: Loaded<readonly Device[]> }) {
  const [asked, ask] = useState<Asked>();
  const [letting, letIn] = useState<{ code?: string }>();
  const brought = carried.value;
  useEffect(() => {
    if (brought === undefined) return;
    carried.value = undefined;
    if (security.holdsIdentity) letIn({ code: brought });
  }, [brought]);
  const close = () => ask(undefined);
  const changed = async (text: string) => {
    announce(text);
    await devices.again();
  };
  return (
    <Section
      title="Your devices"
      lead={security.holdsIdentity ? "Each has keys of its own. Shutting one out leaves the others alone." : "This browser was let in by another device. To let one in or to rename one, use a device that you joined or signed in with."}
      ends={
        <Button icon="plus" disabled={!security.holdsIdentity} onClick={() => letIn({})}>
          Let a device in
        </Button>
      }
    >
      <Show loaded={devices} bones={<BoneRows count={2} label="Loading your devices" />}>
        {(all) => <List devices={all} ask={ask} renames={security.holdsIdentity} />}
      </Show>
      {asked?.what === "rename" && <Rename device={asked.device} security={security} onClose={close} onDone={() => changed("Renamed.")} />}
      {asked?.what === "revoke" && <Revoke device={asked.device} security={security} onClose={close} onDone={() => changed("Shut out.")} />}
      {letting && <LetIn security={security} given={letting.code} onClose={() => letIn(undefined)} onDone={() => void changed("The device is in.")} />}
    </Section>
  );
}

function List({ devices, ask, renames }: { devices: readonly Device[]; ask(asked: Asked): void; renames: boolean }) {
  const good = devices.filter((device) => !device.revoked).sort((a, b) => Number(b.this) - Number(a.this));
  const gone = devices.filter((device) => device.revoked);
  return (
    <>
      <ul class="rows">
        {good.map((device) => (
          <Row key={device.key} device={device} ask={ask} renames={renames} />
        ))}
      </ul>
      {gone.length > 0 && (
        <details class="door-details">
          <summary>{gone.length === 1 ? "One device was shut out" : `${gone.length} devices were shut out`}</summary>
          <ul class="rows">
            {gone.map((device) => (
              <Row key={device.key} device={device} />
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

function Row({ device, ask, renames }: { device: Device; ask?(asked: Asked): void; renames?: boolean }) {
  const soon = device.expires.getTime() - Date.now() < 14 * 86_400_000;
  const things: MenuItem[] = [];
  if (renames) things.push({ text: "Rename", icon: "edit", onPick: () => ask?.({ what: "rename", device }) });
  if (!device.this) things.push({ text: "Shut out", icon: "leave", kind: "danger", onPick: () => ask?.({ what: "revoke", device }) });
  return (
    <li class="row">
      <span class="row-icon">
        <Icon name={device.browser ? "device" : "key"} />
      </span>
      <div class="row-text">
        <div class="row-title">
          <bdi>{device.name}</bdi>
          {device.this && <Tag kind="good">this one</Tag>}
          {device.revoked && <Tag kind="danger">shut out</Tag>}
          {!device.revoked && soon && <Tag kind="warn">ends soon</Tag>}
        </div>
        <div class="row-note">
          {device.browser ? "Signed in, since" : "Since"} <Time at={device.added} as="day" />
          {!device.revoked && (
            <>
              {" "}
              until <Time at={device.expires} as="day" />
            </>
          )}
        </div>
      </div>
      {ask && things.length > 0 && <Menu label={`What to do with ${device.name}`} items={things} />}
    </li>
  );
}

function Rename({ device, security, onClose, onDone }: { device: Device; security: Security; onClose(): void; onDone(): Promise<void> }) {
  const [name, set] = useState(device.name);
  const [wrong, mark] = useState<string>();
  const task = useTask();
  return (
    <Dialog title="Rename the device" onClose={onClose}>
      <Form
        onSubmit={() => {
          const found = broken(name.trim())?.replace("that others will know you by", "of the device");
          mark(found);
          if (found !== undefined) return;
          void task.run(async () => {
            await security.rename(device.key, name.trim());
            await onDone();
            onClose();
          });
        }}
      >
        <Field label="Name" autoComplete="off" spellcheck={false} first value={name} onValue={set} error={wrong ?? task.problem} />
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={task.busy}>
            Rename
          </Button>
        </Ends>
      </Form>
    </Dialog>
  );
}

function Revoke({ device, security, onClose, onDone }: { device: Device; security: Security; onClose(): void; onDone(): Promise<void> }) {
  return (
    <Confirm
      title="Shut the device out?"
      yes="Shut it out"
      onClose={onClose}
      onYes={async () => {
        await security.revoke(device.key);
        await onDone();
      }}
    >
      <p>
        <bdi>{device.name}</bdi> gets in nowhere as you any more, at once and for good. It keeps what it has read already.
      </p>
    </Confirm>
  );
}
