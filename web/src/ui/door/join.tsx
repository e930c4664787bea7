import { useEffect, useState } from "preact/hooks";
import type { Door, Invitation } from "../../model.ts";
import { Banner, Button, Check, Field, Form, Heading, Icon, Progress, sentence, useTask, useTitle } from "../parts/index.ts";
import { carried, navigate } from "../router.ts";
import { broken } from "./handle.ts";
import { held } from "./held.ts";
import { NewPassword } from "./newpassword.tsx";
import { WriteDown } from "./recoverycode.tsx";
import { least } from "./strength.ts";

/** Join makes somebody new from an invite: the invite, who they will be, and the code they must not lose. */
export function Join({ door }: { door: Door }) {
  const [code, setCode] = useState(carried.value ?? "");
  const [invitation, invite] = useState<Invitation>();
  const [made, make] = useState<{ recovery: string; handle: string; password: boolean }>();
  useTitle("Join");
  if (made) {
    return (
      <WriteDown
        code={made.recovery}
        handle={made.handle}
        only={!made.password}
        onDone={() => {
          held.value = undefined;
          navigate("/rooms", { replace: true });
        }}
      />
    );
  }
  if (invitation) return <Who door={door} code={code} invitation={invitation} onMade={make} other={() => invite(undefined)} />;
  return <Invite door={door} code={code} setCode={setCode} onLook={invite} />;
}

function Invite({ door, code, setCode, onLook }: { door: Door; code: string; setCode(code: string): void; onLook(found: Invitation): void }) {
  const [problem, tell] = useState<string>();
  const [looking, look] = useState(false);
  const ask = async (code: string) => {
    if (code.trim() === "") return tell("Paste the invite here, or the whole link.");
    look(true);
    tell(undefined);
    try {
      onLook(await door.look(code.trim()));
    } catch (error) {
      tell(sentence(error));
    }
    look(false);
  };
  useEffect(() => {
    if (carried.value === undefined) return;
    const brought = carried.value;
    carried.value = undefined;
    setCode(brought);
    void ask(brought);
  }, [carried.value]);
  return (
    <Form onSubmit={() => void ask(code)}>
      <Heading>Join with an invite</Heading>
      <p class="quiet">Somebody who is in has made one for you: a link, or a code that begins with kh-.</p>
      <Field label="Invite" look="code" autoComplete="off" autoCapitalize="none" spellcheck={false} first value={code} onValue={setCode} error={problem} />
      <div class="line">
        <Button type="submit" kind="primary" busy={looking}>
          Look at it
        </Button>
        <Button kind="quiet" icon="back" onClick={() => navigate("/")}>
          Sign in instead
        </Button>
      </div>
    </Form>
  );
}

interface WhoProps {
  door: Door;
  code: string;
  invitation: Invitation;
  onMade(made: { recovery: string; handle: string; password: boolean }): void;
  other(): void;
}

function Who({ door, code, invitation, onMade, other }: WhoProps) {
  const [handle, setHandle] = useState("");
  const [password, setPassword] = useState("");
  const [without, go] = useState(false);
  const [device, setDevice] = useState(door.deviceName);
  const [wrong, mark] = useState<{ handle?: string; password?: string; device?: string }>({});
  const [what, tell] = useState<string>();
  const task = useTask();
  const join = () => {
    const found = faults(handle.trim(), without ? undefined : password, device.trim());
    mark(found);
    if (found.handle ?? found.password ?? found.device) return;
    held.value = "join";
    void task.run(async () => {
      try {
        const { recovery } = await door.join({ code, handle: handle.trim(), password: without ? undefined : password, device: device.trim() }, tell);
        onMade({ recovery, handle: handle.trim(), password: !without });
      } catch (error) {
        held.value = undefined;
        throw error;
      } finally {
        tell(undefined);
      }
    });
  };
  const taken = task.code === "taken" ? task.problem : undefined;
  return (
    <Form onSubmit={() => join()}>
      <Heading>You are invited</Heading>
      <Invited invitation={invitation} />
      <Field
        label="Your name here"
        name="username"
        autoComplete="username"
        autoCapitalize="none"
        spellcheck={false}
        first
        hint="Others find you by it. It stays yours."
        value={handle}
        onValue={setHandle}
        onBlur={() => mark({ ...wrong, handle: handle === "" ? undefined : broken(handle.trim()) })}
        error={wrong.handle ?? taken}
      />
      {!without && <NewPassword password={password} onPassword={setPassword} handle={handle} error={wrong.password} />}
      <Check checked={without} onChecked={go}>
        Go without a password
        <span class="row-note"> — then only this browser, a device you link or your recovery code gets you in.</span>
      </Check>
      <details class="door-details">
        <summary>This browser will be called “{device}”</summary>
        <Field label="Name of this browser" autoComplete="off" value={device} onValue={setDevice} hint="You see it in your list of devices." error={wrong.device} />
      </details>
      {task.problem && !taken && <Banner kind="problem">{task.problem}</Banner>}
      <div class="line">
        <Button type="submit" kind="primary" busy={task.busy} disabled={task.wait > 0}>
          Join
        </Button>
        {!task.busy && (
          <Button kind="quiet" onClick={other}>
            Use another invite
          </Button>
        )}
      </div>
      <Progress what={what} />
    </Form>
  );
}

function faults(handle: string, password: string | undefined, device: string): { handle?: string; password?: string; device?: string } {
  return {
    handle: broken(handle),
    password: password === undefined || [...password].length >= least ? undefined : `At least ${least} characters, or go without a password.`,
    device: broken(device)?.replace("that others will know you by", "this browser goes by in your list"),
  };
}

function Invited({ invitation }: { invitation: Invitation }) {
  return (
    <p class="door-invited">
      <Icon name="door" size={28} />
      <span>
        {inviter(invitation)} invites you to <strong>{invitation.hub}</strong>. The hub has proved that it is the one the invite was made for.
      </span>
    </p>
  );
}

function inviter({ inviter }: Invitation) {
  if (inviter === "host") return "The host";
  return inviter === undefined ? "Somebody in this hall" : <bdi>{inviter}</bdi>;
}
