import { useState } from "preact/hooks";
import type { Granted, Person } from "../../model.ts";
import { announce, Avatar, Banner, Button, Confirm, Dialog, Ends, Empty, Field, Select, Show, Tag, Time, Unsure, useLoad, useTask, useUnsure } from "../parts/index.ts";
import { terms, type Term } from "../terms.ts";
import { plain } from "../text.ts";

/** called is what a catalog of one's own is called on the page; one whose name this browser has not heard, by its id. */
function called(one: { catalog: string; name?: string }): string {
  return one.name === undefined ? `Catalog ${one.catalog.slice(0, 6)}` : plain(one.name);
}

/** Yours are the catalogs that one shares oneself, and with whom. */
export function Yours({ person }: { person: Person }) {
  const loaded = useLoad(() => person.catalogs.granted(), [person]);
  const [sharing, share] = useState(false);
  const [ending, end] = useState<Granted | undefined>();
  const known = [...new Map((loaded.value ?? []).map((one) => [one.catalog, one])).values()];
  const unshare = async (granted: Granted) => {
    await person.catalogs.unshare(granted);
    announce(`${plain(granted.handle)} no longer has ${called(granted)}.`);
    await loaded.again();
  };
  return (
    <section class="section" aria-labelledby="yours">
      <div class="section-head">
        <div>
          <h2 id="yours">Shared by you</h2>
          <p class="quiet small">Catalogs are folders on a computer of yours. It has to be on, and serve them, while others look.</p>
        </div>
        {known.length > 0 && (
          <Button icon="share" onClick={() => share(true)}>
            Share a catalog
          </Button>
        )}
      </div>
      <Show loaded={loaded}>{(granted) => (granted.length === 0 ? <None /> : <List granted={granted} onEnd={end} />)}</Show>
      {sharing && <ShareDialog person={person} known={known} onClose={() => share(false)} onDone={loaded.again} />}
      {ending && (
        <Confirm title={`Take ${called(ending)} back from ${plain(ending.handle)}?`} yes="Take it back" kind="danger" onYes={() => unshare(ending)} onClose={() => end(undefined)}>
          <p>They can open it no more, from now on. What they have saved stays with them.</p>
        </Confirm>
      )}
    </section>
  );
}

function None() {
  return (
    <Empty icon="share" title="You share nothing yet">
      On the computer where your files are: <code>keyhall catalog add films ~/Films</code>, then <code>keyhall serve</code>, then <code>keyhall share films bob</code>. From then on it is here, to share with others and to take back.
    </Empty>
  );
}

function List({ granted, onEnd }: { granted: readonly Granted[]; onEnd(granted: Granted): void }) {
  const sorted = [...granted].sort((a, b) => called(a).localeCompare(called(b)) || a.handle.localeCompare(b.handle));
  return (
    <ul class="rows">
      {sorted.map((one) => (
        <li key={one.grant} class="row">
          <Avatar account={one.account} handle={one.handle} />
          <div class="row-text">
            <p class="row-title">
              <bdi>{called(one)}</bdi>
              <Tag kind={one.state === "accepted" ? "good" : undefined}>{one.state === "accepted" ? "accepted" : "not answered yet"}</Tag>
            </p>
            <p class="row-note">
              with <bdi>{plain(one.handle)}</bdi>
              {one.expires && (
                <>
                  , until <Time at={one.expires} as="day" />
                </>
              )}
            </p>
          </div>
          <div class="row-ends">
            <Button kind="danger-quiet" size="small" onClick={() => onEnd(one)}>
              Take back
              <span class="unseen">
                {" "}
                {called(one)} from {plain(one.handle)}
              </span>
            </Button>
          </div>
        </li>
      ))}
    </ul>
  );
}

interface SharingProps {
  person: Person;
  /** known are the catalogs that are shared with somebody, each once. */
  known: readonly Granted[];
  onClose(): void;
  onDone(): Promise<void>;
}

function ShareDialog({ person, known, onClose, onDone }: SharingProps) {
  const [catalog, setCatalog] = useState(known[0]?.catalog ?? "");
  const [name, setName] = useState("");
  const [handle, setHandle] = useState("");
  const [term, setTerm] = useState<Term>("ever");
  const task = useTask();
  const unsure = useUnsure(person.people);
  const unnamed = known.find((one) => one.catalog === catalog)?.name === undefined;
  const ready = handle.trim() !== "" && !(unnamed && name.trim() === "");
  const submit = async () => {
    const who = handle.trim().replace(/^@/, "");
    let shared = false;
    const share = async () => {
      if (await unsure.holds(who)) return;
      await person.catalogs.share(catalog, who, terms[term].hours, unnamed ? name : undefined);
      shared = true;
    };
    if (!ready || !(await task.run(share)) || !shared) return;
    announce(`It is offered to ${who}.`);
    onClose();
    await onDone();
  };
  return (
    <Dialog title="Share a catalog" onClose={onClose}>
      <form class="stack" onSubmit={(event) => (event.preventDefault(), void submit())}>
        <Select label="Catalog" value={catalog} onValue={setCatalog} options={known.map((one) => [one.catalog, called(one)] as const)} hint="To share another for the first time: keyhall share, on the computer that serves it." />
        {unnamed && <Field label="What it is called" value={name} onValue={setName} hint="Only the computer that serves it knows: keyhall catalog list says it there." autoComplete="off" autoCapitalize="none" spellcheck={false} />}
        <Field label="With whom" value={handle} onValue={setHandle} hint="Their handle on this hub." autoComplete="off" autoCapitalize="none" spellcheck={false} />
        <Select label="Ends" value={term} onValue={(chosen) => setTerm(chosen)} options={Object.entries(terms).map(([key, one]) => [key as Term, one.text] as const)} />
        <Unsure who={unsure.who} />
        {task.problem && <Banner kind="problem">{task.problem}</Banner>}
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" busy={task.busy} disabled={!ready}>
            Share
          </Button>
        </Ends>
      </form>
    </Dialog>
  );
}
