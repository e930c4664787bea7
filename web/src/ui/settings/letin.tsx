import { useEffect, useRef, useState } from "preact/hooks";
import type { LinkOffer, Security } from "../../model.ts";
import { Banner, Button, Choices, Code, Dialog, Ends, Field, Form, QR, Spinner, useTask, Words } from "../parts/index.ts";
import { UnlockFields, useUnlock } from "./unlock.tsx";

/** LetIn is the old side of a link: it shows a code, or takes the one the new device shows; then words are compared. */
export function LetIn({ security, given, onClose, onDone }: { security: Security; given?: string; onClose(): void; onDone(): void }) {
  const [offer, set] = useState<{ link: LinkOffer; shows: boolean }>();
  const [problem, tell] = useState<string>();
  const open = useRef<LinkOffer | undefined>(undefined);
  useEffect(() => () => open.current?.cancel(), []);
  const failed = offer?.link.failed.value;
  useEffect(() => {
    if (!failed) return;
    open.current = undefined;
    set(undefined);
    if (failed.code !== "cancelled") tell(failed.message);
  }, [failed]);
  const begin = (link: LinkOffer, shows: boolean) => {
    open.current = link;
    tell(undefined);
    set({ link, shows });
  };
  const finish = () => {
    open.current = undefined;
    onDone();
    onClose();
  };
  return (
    <Dialog title="Let a device in" onClose={onClose}>
      {offer ? <Offered link={offer.link} shows={offer.shows} onClose={onClose} onDone={finish} /> : <Begin security={security} given={given} problem={problem} begin={begin} onClose={onClose} />}
    </Dialog>
  );
}

interface BeginProps {
  security: Security;
  given?: string;
  problem?: string;
  begin(link: LinkOffer, shows: boolean): void;
  onClose(): void;
}

function Begin({ security, given, problem, begin, onClose }: BeginProps) {
  const [way, setWay] = useState<"show" | "take">(given === undefined ? "show" : "take");
  const [code, setCode] = useState(given ?? "");
  const [missing, miss] = useState(false);
  const unlock = useUnlock();
  return (
    <Form
      onSubmit={() => {
        miss(way === "take" && code.trim() === "");
        const with_ = unlock.take();
        if (with_ === undefined || (way === "take" && code.trim() === "")) return;
        begin(security.letIn(way === "take" ? code.trim() : undefined, with_), way === "show");
      }}
    >
      <p class="quiet">The device gets a key of its own and everything that is sealed for you, but it cannot let others in.</p>
      {problem !== undefined && <Banner kind="problem">{problem}</Banner>}
      <Choices
        legend="Who shows the code"
        value={way}
        onValue={setWay}
        options={[
          { key: "show", title: "Show a code here" },
          { key: "take", title: "The device shows one" },
        ]}
      />
      {way === "take" && (
        <Field
          label="Code that the device shows"
          look="code"
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          value={code}
          onValue={setCode}
          error={missing ? "Type the code that begins with kl-." : undefined}
        />
      )}
      <UnlockFields security={security} unlock={unlock} />
      <Ends>
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" kind="primary">
          Go on
        </Button>
      </Ends>
    </Form>
  );
}

function Offered({ link, shows, onClose, onDone }: { link: LinkOffer; shows: boolean; onClose(): void; onDone(): void }) {
  const asked = link.asked.value;
  const task = useTask();
  if (!asked) {
    return (
      <div class="link-stage">
        {shows && <Shown link={link} />}
        <p class="line" role="status">
          <Spinner />
          {shows ? "Waiting for the device to ask" : "Looking for the device that shows this code"}
        </p>
        <Ends>
          <Button onClick={onClose}>Cancel</Button>
        </Ends>
      </div>
    );
  }
  return (
    <div class="link-stage">
      <p role="status">
        <bdi>
          <strong>{asked.name}</strong>
        </bdi>{" "}
        asks to be let in. Does it show these words?
      </p>
      <Words words={asked.words} />
      {task.problem && <Banner kind="problem">{task.problem}</Banner>}
      <Ends>
        <Button
          kind="danger-quiet"
          disabled={task.busy}
          onClick={() =>
            task.run(async () => {
              await link.answer(false);
              onClose();
            })
          }
        >
          No, they differ
        </Button>
        <Button
          kind="primary"
          busy={task.busy}
          onClick={() =>
            task.run(async () => {
              await link.answer(true);
              onDone();
            })
          }
        >
          Yes, let it in
        </Button>
      </Ends>
    </div>
  );
}

function Shown({ link }: { link: LinkOffer }) {
  return (
    <>
      <Code text={link.code} label="Code" size="large" />
      <div class="link-shown">
        <QR text={link.url} label={`QR code of the link ${link.code}`} />
        <p class="quiet small">
          Point the new device's camera here, or open {location.host}/link there and type the code. Good for ten minutes, once.
        </p>
      </div>
    </>
  );
}
