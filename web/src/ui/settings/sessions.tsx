import { useState } from "preact/hooks";
import type { Security, Session } from "../../model.ts";
import { announce, Banner, BoneRows, Button, Confirm, Icon, type Loaded, Show, Tag, Time, useTask } from "../parts/index.ts";
import { agentWords } from "./agent.ts";
import { Section } from "./section.tsx";

/** Sessions are the browsers that are signed in just now. */
export function Sessions({ security, sessions, onEnded }: { security: Security; sessions: Loaded<readonly Session[]>; onEnded(): Promise<void> }) {
  const [asking, ask] = useState(false);
  const task = useTask();
  const end = (session: Session) =>
    task.run(async () => {
      await security.end(session.id);
      announce("Signed out there.");
      await Promise.all([sessions.again(), onEnded()]);
    });
  const others = (sessions.value ?? []).some((session) => !session.this);
  return (
    <Section
      title="Signed in"
      lead="Browsers with an open session. Ending one takes its keys away, and it has to sign in again."
      ends={
        <Button icon="leave" disabled={!others} onClick={() => ask(true)}>
          Sign out everywhere else
        </Button>
      }
    >
      {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      <Show loaded={sessions} bones={<BoneRows count={2} label="Loading your sessions" />}>
        {(all) => (
          <ul class="rows">
            {all.map((session) => (
              <Row key={session.id} session={session} busy={task.busy} end={() => void end(session)} />
            ))}
          </ul>
        )}
      </Show>
      {asking && (
        <Confirm
          title="Sign out everywhere else?"
          yes="Sign out everywhere else"
          onClose={() => ask(false)}
          onYes={async () => {
            await security.endOthers();
            announce("Signed out everywhere else.");
            await Promise.all([sessions.again(), onEnded()]);
          }}
        >
          <p>Every browser but this one loses its keys and has to sign in again. Programs on your own machines go on.</p>
        </Confirm>
      )}
    </Section>
  );
}

function Row({ session, busy, end }: { session: Session; busy: boolean; end(): void }) {
  return (
    <li class="row">
      <span class="row-icon">
        <Icon name={/Mobi|Android|iPhone/.test(session.agent) ? "phone" : "device"} />
      </span>
      <div class="row-text">
        <div class="row-title">
          {agentWords(session.agent)}
          {session.this && <Tag kind="good">this one</Tag>}
        </div>
        <div class="row-note">
          <bdi>{session.name}</bdi>, from <bdi>{session.from}</bdi>, last seen <Time at={session.seen} />, signed in <Time at={session.made} />
        </div>
      </div>
      {!session.this && (
        <Button size="small" disabled={busy} onClick={end} aria-label={`End the session of ${session.name}`}>
          End
        </Button>
      )}
    </li>
  );
}
