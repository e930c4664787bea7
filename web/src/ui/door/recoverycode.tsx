import { useEffect, useState } from "preact/hooks";
import { Banner, Button, CopyButton, Field, Form, Heading, Icon, useTitle } from "../parts/index.ts";

/** groups are the parts of a code as they are read aloud. */
export function groups(code: string): string[] {
  return code.trim().split("-").filter(Boolean);
}

/** same compares what somebody typed with a group: case, spaces and hyphens do not count. */
export function same(typed: string, group: string): boolean {
  return typed.toLowerCase().replace(/[\s-]/g, "") === group.toLowerCase();
}

/** PaperCode is a recovery code as it goes on paper: it can be copied, printed and kept as a file. */
export function PaperCode({ code, handle }: { code: string; handle: string }) {
  return (
    <>
      <figure class="paper" aria-label="Your recovery code">
        <figcaption>
          Recovery code of <bdi>{handle}</bdi> at {location.host}
        </figcaption>
        <ol class="paper-code">
          {groups(code).map((group, index) => (
            <li key={index} data-start={index === 0 || undefined}>
              {group}
              {index === 0 && "-"}
            </li>
          ))}
        </ol>
        <p class="paper-note">Whoever has this code has all of {handle}'s keys. Keep it where you keep a passport.</p>
      </figure>
      <div class="line">
        <CopyButton text={code} label="Copy the recovery code">
          Copy
        </CopyButton>
        <Button icon="print" onClick={() => print()}>
          Print
        </Button>
        <Button icon="download" onClick={() => keep(code, handle)}>
          Keep as a file
        </Button>
      </div>
    </>
  );
}

function keep(code: string, handle: string): void {
  const text = `Keyhall recovery code of ${handle} at ${location.origin}\n\n${code}\n\nWhoever has it has all of ${handle}'s keys.\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = `keyhall-recovery-${handle}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** CheckCode asks for the last group, which only who has written the code down can tell. */
export function CheckCode({ code, go, onDone, onBack }: { code: string; go: string; onDone(): void; onBack(): void }) {
  const [typed, set] = useState("");
  const [wrong, mark] = useState<string>();
  const last = groups(code).at(-1) ?? "";
  return (
    <Form
      onSubmit={() => {
        if (same(typed, last)) onDone();
        else mark(typed === "" ? "Type the last group of your code." : "That is not the last group. Look at what you wrote down, or at the code once more.");
      }}
    >
      <Field
        label="The last group of your code"
        hint={`Its last ${last.length} letters and digits`}
        look="code"
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        first
        value={typed}
        onValue={(value) => {
          set(value);
          mark(undefined);
        }}
        error={wrong}
      />
      <div class="line">
        <Button type="submit" kind="primary">
          {go}
        </Button>
        <Button kind="quiet" icon="back" onClick={onBack}>
          Show the code again
        </Button>
      </div>
    </Form>
  );
}

/** useStay has the browser ask before the page is left: the code would be gone. */
function useStay(): void {
  useEffect(() => {
    const stay = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", stay);
    return () => removeEventListener("beforeunload", stay);
  }, []);
}

/** WriteDown shows a new recovery code once, and lets go when it has been checked. */
export function WriteDown({ code, handle, only, onDone }: { code: string; handle: string; only: boolean; onDone(): void }) {
  const [checking, check] = useState(false);
  useTitle("Your recovery code");
  useStay();
  if (checking) {
    return (
      <div class="stack" data-gap="loose">
        <div class="stack" data-gap="tight">
          <Heading>Is it written down?</Heading>
          <p class="quiet">It will not be shown again.</p>
        </div>
        <CheckCode code={code} go="Enter the hall" onDone={onDone} onBack={() => check(false)} />
      </div>
    );
  }
  return (
    <div class="stack">
      <Heading>Write this down</Heading>
      <p>If all your devices are lost, this code brings your keys back. Nobody else has it, and it is shown only now.</p>
      {only && <Banner kind="warn">You have no password: without this code, losing this browser is losing everything.</Banner>}
      <PaperCode code={code} handle={handle} />
      <Button kind="primary" wide onClick={() => check(true)}>
        <Icon name="check" size={18} />I have it
      </Button>
    </div>
  );
}
