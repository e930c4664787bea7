import { useEffect, useState } from "preact/hooks";
import type { Config, Door } from "../../model.ts";
import { Banner, Button, Field, Form, Heading, Icon, Progress, useTask, useTitle } from "../parts/index.ts";
import { navigate, route } from "../router.ts";
import { held } from "./held.ts";
import { Recover } from "./recover.tsx";

/** Welcome is where somebody comes who is not in: they sign in, or say what they have instead. */
export function Welcome({ door, config, ended }: { door: Door; config: Config; ended?: string }) {
  const [recovering, recover] = useState(false);
  if (recovering || held.value === "recover") return <Recover door={door} back={() => recover(false)} />;
  return <SignIn door={door} config={config} ended={ended} recover={() => recover(true)} />;
}

function SignIn({ door, config, ended, recover }: { door: Door; config: Config; ended?: string; recover(): void }) {
  const other = useTask();
  const back = useBack(door, config);
  useTitle("Sign in");
  if (back.pending) return <Asking />;
  return (
    <div class="stack" data-gap="loose">
      <div class="stack" data-gap="tight">
        <Heading>Come in</Heading>
        <p class="quiet">{route.value.page === "home" ? `to the hall at ${location.host}` : "Sign in to see this page."}</p>
      </div>
      {ended !== undefined && <Banner kind="warn">{ended}</Banner>}
      {back.known !== undefined && <Came handle={back.known.handle} provider={config.oidc ?? "Your provider"} />}
      <PasswordForm door={door} demo={config.demo} given={back.known?.handle} />
      <div class="stack" data-gap="tight">
        <p class="door-or">
          <span>or</span>
        </p>
        {(other.problem ?? back.problem) && <Banner kind="problem">{other.problem ?? back.problem}</Banner>}
        <Button wide icon="key" busy={other.busy} onClick={() => other.run(() => door.passkey())}>
          Sign in with a passkey
        </Button>
        {config.oidc !== undefined && (
          <Button wide icon="shield" onClick={() => door.provider()}>
            Sign in with {config.oidc}
          </Button>
        )}
        <Button wide icon="device" onClick={() => navigate("/link")}>
          Let another device let you in
        </Button>
      </div>
      <ul class="door-more">
        <li>
          <a href="/join">I have an invite</a>
        </li>
        <li>
          <button type="button" class="door-link" onClick={recover}>
            I have only my recovery code
          </button>
        </li>
      </ul>
    </div>
  );
}

/** useBack asks who came back from the provider, once. */
function useBack(door: Door, config: Config): { known?: { handle?: string }; problem?: string; pending: boolean } {
  const [known, set] = useState<{ handle?: string }>();
  const [pending, wait] = useState(config.oidc !== undefined);
  const task = useTask();
  useEffect(() => {
    if (pending) void task.run(async () => set(await door.back())).finally(() => wait(false));
  }, []);
  return { known, problem: task.problem, pending };
}

function Asking() {
  return (
    <div class="stack">
      <Heading>Come in</Heading>
      <Progress what="Asking who you are" />
    </div>
  );
}

/** Came says what a provider's login is good for: it says who somebody is, and brings no keys. */
function Came({ handle, provider }: { handle?: string; provider: string }) {
  if (handle === undefined) {
    return (
      <Banner kind="warn">
        {provider} let you through, but that login belongs to nobody in this hall yet. Sign in another way, then bind it under Settings, Signing in.
      </Banner>
    );
  }
  return (
    <Banner>
      <p>
        {provider} says that you are <bdi>{handle}</bdi>. Your keys are not in this browser yet: your password, another device or your recovery code brings them.
      </p>
    </Banner>
  );
}

function PasswordForm({ door, demo, given }: { door: Door; demo?: boolean; given?: string }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [missing, miss] = useState<"name" | "password">();
  const [what, tell] = useState<string>();
  const task = useTask();
  useEffect(() => {
    if (given !== undefined) setName(given);
  }, [given]);
  const enter = (name: string, password: string) => {
    setName(name);
    setPassword(password);
    miss(name.trim() === "" ? "name" : password === "" ? "password" : undefined);
    if (name.trim() === "" || password === "") return;
    void task.run(async () => {
      tell("Asking the hub");
      await door.password(name.trim(), password, tell).finally(() => tell(undefined));
    });
  };
  return (
    <Form gap="tight" onSubmit={() => enter(name, password)}>
      <Field label="Name" name="username" autoComplete="username" autoCapitalize="none" spellcheck={false} first value={name} onValue={setName} error={missing === "name" ? "Which name do you go by here?" : undefined} />
      <Field
        label="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        value={password}
        onValue={setPassword}
        error={missing === "password" ? "Your password is missing." : task.problem}
      />
      <Button type="submit" kind="primary" wide busy={task.busy} disabled={task.wait > 0}>
        {task.wait > 0 ? `Wait ${task.wait} s` : "Sign in"}
      </Button>
      <Progress what={what} />
      {demo && <Guests enter={enter} busy={task.busy} />}
    </Form>
  );
}


/** Guests are the two people of a demo. */
function Guests({ enter, busy }: { enter(name: string, password: string): void; busy: boolean }) {
  const other = elsewhere();
  return (
    <div class="door-guests">
      <p class="small">
        <Icon name="info" size={18} />
        {other === undefined ? (
          <span>Two people live here. Open a second browser or a private window for the other.</span>
        ) : (
          <span>
            Two people live here. To be both, open{" "}
            <a href={other} target="_blank" rel="noopener">
              {other}
            </a>{" "}
            for the other.
          </span>
        )}
      </p>
      <div class="line">
        {["alice", "bob"].map((guest) => (
          <Button key={guest} disabled={busy} onClick={() => enter(guest, guest)}>
            {guest} / {guest}
          </Button>
        ))}
      </div>
    </div>
  );
}

/** elsewhere is the same demo at its other address: a browser keeps apart what belongs to the two. */
function elsewhere(): string | undefined {
  const names: Record<string, string> = { localhost: "127.0.0.1", "127.0.0.1": "localhost" };
  const name = names[location.hostname];
  return name && `http://${name}:${location.port}`;
}
