import { useEffect, useRef, useState } from "preact/hooks";
import type { Door, LinkAsk } from "../../model.ts";
import { Banner, Button, Code, Field, Form, Heading, QR, sentence, Spinner, useTitle, Words } from "../parts/index.ts";
import { carried, navigate } from "../router.ts";
import { broken } from "./handle.ts";

/** LinkIn lets this browser in by another device of the same person: it shows a code, or takes the one shown there. */
export function LinkIn({ door }: { door: Door }) {
  const [device, setDevice] = useState(door.deviceName);
  const [ask, setAsk] = useState<{ link: LinkAsk; shows: boolean }>();
  const [problem, tell] = useState<string>();
  const link = useRef<LinkAsk | undefined>(undefined);
  useTitle("Link this browser");
  useEffect(() => () => link.current?.cancel(), []);
  const start = (code: string | undefined) => {
    tell(undefined);
    const begun = door.link(code, device.trim());
    link.current = begun;
    setAsk({ link: begun, shows: code === undefined });
    begun.done.then(
      () => navigate("/rooms", { replace: true }),
      (error) => {
        if (link.current !== begun) return;
        setAsk(undefined);
        tell(sentence(error));
      },
    );
  };
  const stop = () => {
    const begun = link.current;
    link.current = undefined;
    begun?.cancel();
    setAsk(undefined);
  };
  if (ask) return <Asked ask={ask} stop={stop} />;
  return <Begin device={device} setDevice={setDevice} problem={problem} start={start} />;
}

function Begin({ device, setDevice, problem, start }: { device: string; setDevice(name: string): void; problem?: string; start(code: string | undefined): void }) {
  const [code, setCode] = useState(carried.value ?? "");
  const [wrong, mark] = useState<{ code?: string; device?: string }>({});
  const brought = carried.value;
  useEffect(() => {
    if (carried.value !== undefined) setCode(carried.value);
    carried.value = undefined;
  }, [brought]);
  const go = (code: string | undefined) => {
    const name = broken(device.trim())?.replace("that others will know you by", "this browser will go by");
    mark({ device: name, code: code === "" ? "Type the code that your other device shows, or have this browser show one." : undefined });
    if (name === undefined && code !== "") start(code);
  };
  return (
    <Form onSubmit={() => go(code.trim())}>
      <Heading>Link this browser</Heading>
      <p class="quiet">A device that is in hands your keys on. Both show four words, and you say yes there when they are the same.</p>
      {problem !== undefined && <Banner kind="problem">{problem}</Banner>}
      <Field label="Name of this browser" autoComplete="off" value={device} onValue={setDevice} hint="You see it in your list of devices." error={wrong.device} />
      <Field
        label="Code that your other device shows"
        look="code"
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        hint="kl-xxxx-xxxx-xxxx-xxxx, from Settings, Devices there, or from keyhall login."
        value={code}
        onValue={setCode}
        error={wrong.code}
      />
      <Button type="submit" kind="primary" wide>
        Ask to be let in
      </Button>
      <p class="door-or">
        <span>or</span>
      </p>
      <Button wide icon="link" onClick={() => go(undefined)}>
        Show a code here
      </Button>
      <div>
        <Button kind="quiet" icon="back" onClick={() => navigate("/")}>
          Sign in instead
        </Button>
      </div>
    </Form>
  );
}

function Asked({ ask, stop }: { ask: { link: LinkAsk; shows: boolean }; stop(): void }) {
  return (
    <div class="stack">
      <Heading>{ask.shows ? "Take this to your other device" : "Compare the words"}</Heading>
      {ask.shows && <Shown link={ask.link} />}
      <p>{ask.shows ? "It then shows four words." : "Your other device shows four words."} If they are these, say yes there. If not, somebody else has asked: say no there, and begin anew.</p>
      <Compared link={ask.link} />
      <p class="line" role="status">
        <Spinner />
        Waiting for your yes over there
      </p>
      <div>
        <Button onClick={stop}>Cancel</Button>
      </div>
    </div>
  );
}

/** Compared are the words; their place is kept until there are any. */
function Compared({ link }: { link: LinkAsk }) {
  const words = link.words.value;
  return words === undefined ? <div class="bone-words" data-count="4" /> : <Words words={words} />;
}

function Shown({ link }: { link: LinkAsk }) {
  return (
    <>
      <Code text={link.code} label="Code" size="large" />
      <div class="link-shown">
        <QR text={link.url} label={`QR code of the link ${link.code}`} />
        <p class="quiet small">
          There: open Settings, Devices, and choose “Let a device in”; or point its camera here; or run <code>keyhall device link {link.code}</code>. Good for ten minutes, once.
        </p>
      </div>
    </>
  );
}
