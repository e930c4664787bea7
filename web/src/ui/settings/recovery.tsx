import { useState } from "preact/hooks";
import type { Security } from "../../model.ts";
import { announce, Banner, Button, Dialog, Ends, Form, Show, Time, useLoad, useTask } from "../parts/index.ts";
import { CheckCode, PaperCode } from "../door/recoverycode.tsx";
import { Section } from "./section.tsx";
import { UnlockFields, useUnlock } from "./unlock.tsx";

/** Recovery makes a new code for paper, which takes the place of the one before. */
export function Recovery({ security, handle }: { security: Security; handle: string }) {
  const made = useLoad(async () => ({ at: await security.recoveryMade() }));
  const [open, set] = useState(false);
  return (
    <Section title="Recovery code" lead="On paper, for the day when every device is lost. A new one makes the old one worthless.">
      <Show loaded={made} bones={<div class="bone-line" />}>
        {({ at }) => (
          <div class="setting">
            <p>{at ? <>Made <Time at={at} as="day" /></> : "You have none yet."}</p>
            <Button disabled={!security.holdsIdentity} onClick={() => set(true)}>{at ? "Make a new one" : "Make one"}</Button>
          </div>
        )}
      </Show>
      {open && (
        <Make
          security={security}
          handle={handle}
          onClose={() => {
            set(false);
            void made.again();
          }}
        />
      )}
    </Section>
  );
}

function Make({ security, handle, onClose }: { security: Security; handle: string; onClose(): void }) {
  const [code, set] = useState<string>();
  const [checking, check] = useState(false);
  const unlock = useUnlock();
  const task = useTask();
  if (code !== undefined) {
    const done = () => {
      announce("Your new recovery code is good.");
      onClose();
    };
    return (
      <Dialog title={checking ? "Is it written down?" : "Write this down"} onClose={checking ? onClose : () => check(true)}>
        {checking ? <CheckCode code={code} go="Done" onDone={done} onBack={() => check(false)} /> : <Paper code={code} handle={handle} next={() => check(true)} />}
      </Dialog>
    );
  }
  return (
    <Dialog title="Make a recovery code" onClose={onClose}>
      <Form
        onSubmit={() => {
          const key = unlock.take();
          if (key) void task.run(async () => set(await security.makeRecovery(key)));
        }}
      >
        <p>The code on your old paper opens nothing from then on.</p>
        <UnlockFields security={security} unlock={unlock} error={task.code === "refused" ? task.problem : undefined} />
        {task.problem && task.code !== "refused" && <Banner kind="problem">{task.problem}</Banner>}
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={task.busy} disabled={task.wait > 0}>
            Make it
          </Button>
        </Ends>
      </Form>
    </Dialog>
  );
}

function Paper({ code, handle, next }: { code: string; handle: string; next(): void }) {
  return (
    <>
      <p>It is shown only now.</p>
      <PaperCode code={code} handle={handle} />
      <Ends>
        <Button kind="primary" icon="check" onClick={next}>
          I have it
        </Button>
      </Ends>
    </>
  );
}
