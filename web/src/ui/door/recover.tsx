import { useState } from "preact/hooks";
import type { Door } from "../../model.ts";
import { Banner, Button, Field, Form, Heading, Progress, useTask, useTitle } from "../parts/index.ts";
import { held } from "./held.ts";

/** Recover brings somebody back who has nothing but the code on paper. */
export function Recover({ door, back }: { door: Door; back(): void }) {
  const [code, setCode] = useState("");
  const [empty, mark] = useState(false);
  const [what, tell] = useState<string>();
  const [came, set] = useState<{ revoked?: string; problems: string[] }>();
  const task = useTask();
  useTitle("Recover");
  const recover = () => {
    mark(code.trim() === "");
    if (code.trim() === "") return;
    held.value = "recover";
    void task.run(async () => {
      try {
        set(await door.recover(code.trim(), tell));
      } catch (error) {
        held.value = undefined;
        throw error;
      } finally {
        tell(undefined);
      }
    });
  };
  if (came) return <Back came={came} onDone={() => (held.value = undefined)} />;
  return (
    <Form onSubmit={() => recover()}>
      <Heading>Come back with your recovery code</Heading>
      <p class="quiet">It brings your keys into this browser. The device on which the code was made counts as lost, and is shut out.</p>
      <Field
        label="Recovery code"
        look="code"
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        first
        hint="It begins with kr-. Hyphens, spaces and capitals do not matter."
        value={code}
        onValue={setCode}
        error={empty ? "Type the code from your paper." : task.problem}
      />
      <div class="line">
        <Button type="submit" kind="primary" busy={task.busy} disabled={task.wait > 0}>
          {task.wait > 0 ? `Wait ${task.wait} s` : "Bring me back"}
        </Button>
        {!task.busy && (
          <Button kind="quiet" icon="back" onClick={back}>
            Sign in instead
          </Button>
        )}
      </div>
      <Progress what={what} />
    </Form>
  );
}

function Back({ came, onDone }: { came: { revoked?: string; problems: string[] }; onDone(): void }) {
  return (
    <div class="stack">
      <Heading>You are back</Heading>
      <p>
        Your keys are in this browser.
        {came.revoked !== undefined && (
          <>
            {" "}
            The device <bdi>{came.revoked}</bdi> counts as lost: it is shut out of everything from now on.
          </>
        )}
      </p>
      {came.problems.length > 0 && (
        <Banner kind="warn">
          <p>What you should know:</p>
          <ul>
            {came.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        </Banner>
      )}
      <p class="quiet">The code on your paper stays good. If somebody else may have seen it, make a new one under Settings, Signing in.</p>
      <Button kind="primary" onClick={onDone}>
        Enter the hall
      </Button>
    </div>
  );
}
