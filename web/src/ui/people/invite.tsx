import { useState } from "preact/hooks";
import type { People } from "../../model.ts";
import { Banner, Button, clock, Code, CopyButton, date, Dialog, Ends, Form, QR, Select, useTask } from "../parts/index.ts";

type Made = Awaited<ReturnType<People["invite"]>>;

const uses = [
  ["1", "one person"],
  ["5", "up to 5 people"],
  ["25", "up to 25 people"],
] as const;

const times = [
  ["24", "a day"],
  ["72", "three days"],
  ["168", "a week"],
  ["720", "a month"],
] as const;

/** MakeInvite makes an invite and shows it once: a link, a code and a QR. */
export function MakeInvite({ people, onClose }: { people: People; onClose(): void }) {
  const [count, setCount] = useState<(typeof uses)[number][0]>("1");
  const [hours, setHours] = useState<(typeof times)[number][0]>("72");
  const [made, set] = useState<Made>();
  const task = useTask();
  if (made) return <Ready made={made} many={count !== "1"} onClose={onClose} />;
  return (
    <Dialog title="Invite somebody" onClose={onClose}>
      <Form onSubmit={() => void task.run(async () => set(await people.invite({ uses: Number(count), hours: Number(hours) })))}>
        <p class="quiet">Whoever has the invite can come in as somebody new. You and they then know each other's keys without asking the hub.</p>
        <Select label="It is for" value={count} onValue={setCount} options={uses} />
        <Select label="It is good for" value={hours} onValue={setHours} options={times} />
        {count !== "1" && <Banner kind="warn">An invite for many is weaker: any of them could pass for another. Compare words afterwards.</Banner>}
        {task.problem && <Banner kind="problem">{task.problem}</Banner>}
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" data-first busy={task.busy} disabled={task.wait > 0}>
            Make the invite
          </Button>
        </Ends>
      </Form>
    </Dialog>
  );
}

function Ready({ made, many, onClose }: { made: Made; many: boolean; onClose(): void }) {
  const pass = "share" in navigator ? () => void navigator.share({ url: made.url, title: "An invite to Keyhall" }).catch(() => undefined) : undefined;
  return (
    <Dialog title="Pass it on" onClose={onClose}>
      <p>
        Send the link by a way that only {many ? "those people" : "that person"} can read, or let them point a camera here. It is good until {date(made.expires)}, {clock(made.expires)}.
      </p>
      <div class="invite-made">
        <QR text={made.url} label="QR code of the invite link" />
        <div class="stack">
          <Code text={made.url} label="Invite link" size="line" />
          <details class="door-details">
            <summary>As a code, for the command line</summary>
            <Code text={made.code} label="Invite code" />
          </details>
        </div>
      </div>
      <Ends>
        {pass && (
          <Button icon="share" onClick={pass}>
            Share
          </Button>
        )}
        <CopyButton text={made.url} label="Copy the link">
          Copy the link
        </CopyButton>
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </Ends>
    </Dialog>
  );
}
