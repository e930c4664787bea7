import { useState } from "preact/hooks";
import type { Rooms } from "../../model.ts";
import { Banner, Button, Check, Choices, Dialog, Ends, Field, useTask } from "../parts/index.ts";
import { navigate, roomHref } from "../router.ts";
import { bare } from "./names.ts";

/** Create makes a room: sealed, for those who are let in, or open to everybody on the hub. */
export function Create({ rooms, onClose }: { rooms: Rooms; onClose(): void }) {
  const [name, setName] = useState("");
  const [kind, setKind] = useState<"sealed" | "open">("sealed");
  const [listed, setListed] = useState(false);
  const task = useTask();
  const wrong = nameError(name);
  const submit = () =>
    task.run(async () => {
      const room = await rooms.create(bare(name), { open: kind === "open", listed: kind === "open" || listed });
      onClose();
      navigate(roomHref(room.id));
    });
  return (
    <Dialog title="New room" onClose={onClose}>
      <form class="stack" onSubmit={(event) => (event.preventDefault(), void submit())}>
        <Field label="Name" value={name} onValue={setName} hint="One word: letters, digits, - and _." error={wrong} autoComplete="off" autoCapitalize="none" spellcheck={false} />
        <Choices
          legend="Who may be in it"
          value={kind}
          onValue={(chosen) => setKind(chosen)}
          options={[
            { key: "sealed", title: "Sealed", note: "Those you let in. What is said is sealed for them; the hub cannot read it." },
            { key: "open", title: "Open", note: "Everybody on this hub. It is not sealed: the hub can read it." },
          ]}
        />
        <Check checked={kind === "open" || listed} disabled={kind === "open"} onChecked={setListed}>
          Show its name to everybody on this hub
        </Check>
        {task.problem && <Banner kind="problem">{task.problem}</Banner>}
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={task.busy} disabled={name.trim() === "" || wrong !== undefined}>
            Create the room
          </Button>
        </Ends>
      </form>
    </Dialog>
  );
}

/** nameError says what a name of a room lacks, as far as that is seen at once. */
export function nameError(name: string): string | undefined {
  const text = bare(name);
  if (text === "") return undefined;
  if (/\s/.test(text)) return "A name is one word: use - instead of a space.";
  if (!/^[\p{L}\p{M}\p{Nd}_-]+$/u.test(text)) return "A name has letters, digits, - and _ only.";
  if (!/^[\p{L}\p{Nd}]/u.test(text)) return "A name begins with a letter or a digit.";
  return [...text].length > 32 ? "A name has at most 32 letters." : undefined;
}
